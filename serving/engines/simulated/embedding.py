"""Vectors without a model, by the hashing trick (Weinberger et al., 2009): who shares tokens has a similar vector."""

from collections.abc import Sequence
from hashlib import blake2b
from math import hypot


def embed(token_ids: Sequence[int], dimensions: int) -> list[float]:
    """Return a vector of length 1: each token adds or takes away 1 in one dimension."""
    vector = [0.0] * dimensions
    for token_id in token_ids:
        draw = int.from_bytes(blake2b(token_id.to_bytes(4, "little"), digest_size=8).digest(), "little")
        vector[(draw >> 1) % dimensions] += 1.0 if draw & 1 else -1.0
    length = hypot(*vector)
    return [value / length for value in vector] if length else [1.0] + [0.0] * (dimensions - 1)
