"""Replicas that the settings name."""

from collections.abc import AsyncGenerator, Sequence

from gateway.config import ReplicaSettings


async def static(replicas: Sequence[ReplicaSettings]) -> AsyncGenerator[Sequence[ReplicaSettings], None]:
    """Yield the one list there will ever be.

    Every source is such an iterator: each item is the whole fleet as it now is, in a stable order. One that ends leaves
    its last item."""
    yield replicas
