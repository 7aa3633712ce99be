"""What one worker tells the others of prompts that replicas have read: collected, bounded, sent together."""

from array import array
from collections.abc import Callable, Sequence

from gateway.dispatch.prefix_index.chain import NAME_BYTES
from gateway.types import PromptRead

__all__ = ["NEWS_INTERVAL_S", "News", "blocks_of"]

NEWS_INTERVAL_S = 0.05
"""Others may choose by what was known before; a prompt takes about as long to be read."""
BYTES_MAX = 256 * 1024
"""At once: what 80 prompts of 25,000 tokens need. What is more is not told, and others find out by themselves."""


class News:
    """`on_due` is called when the first of a batch is in it: `take` it `NEWS_INTERVAL_S` later."""

    def __init__(self, on_due: Callable[[], None]) -> None:
        self.dropped = 0
        """Prompts that were not told."""
        self._on_due = on_due
        self._reads: list[PromptRead] = []
        self._bytes = 0

    def add(self, replica_id: str, incarnation: int, blocks: Sequence[int]) -> None:
        size = len(blocks) * NAME_BYTES
        if self._bytes + size > BYTES_MAX:
            self.dropped += 1
            return
        if not self._reads:
            self._on_due()
        self._bytes += size
        self._reads.append(PromptRead(replica_id, incarnation, array("Q", blocks).tobytes()))

    def take(self) -> list[PromptRead]:
        reads, self._reads, self._bytes = self._reads, [], 0
        return reads


def blocks_of(read: PromptRead) -> Sequence[int]:
    """Return the names of the blocks. Raises ValueError where they are cut."""
    if len(read.blocks) % NAME_BYTES:
        raise ValueError(f"{len(read.blocks)} bytes are no names of blocks")
    return array("Q", read.blocks)
