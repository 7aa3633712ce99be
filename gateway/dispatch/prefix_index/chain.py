"""Chained hashes: the name of a block says what it holds and what stands before it."""

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate, pairwise
from typing import Final

from xxhash import xxh64_intdigest

__all__ = ["BLOCK_BYTES", "BLOCK_TOKENS", "ENDS", "NAME_BYTES", "Chain", "seed"]

BLOCK_TOKENS: Final = 64
"""A multiple of the engines' own blocks (vLLM: 16), so that a block of ours is cached whole or not at all."""
BLOCK_BYTES: Final = 4 * BLOCK_TOKENS
"""Ids are fixed32. Of text it is as much, some 64 tokens of English."""
NAME_BYTES: Final = 8
"""A name is a number of 64 bits."""
_FINE: Final = 128
"""So many blocks, 32 KB of a prompt, are single ones."""
_DOUBLINGS: Final = 8
"""What is beyond 8 MB of a prompt has no name: two million tokens, more than models read, and 2 ms to name."""

ENDS: Final[Sequence[int]] = list(
    accumulate([1] * _FINE + [_FINE // 16 << doubling for doubling in range(_DOUBLINGS) for _ in range(16)], initial=0)
)
"""Where the blocks that have names end, in single blocks from the prompt's beginning. Beyond `_FINE` each is a
sixteenth of what stood before it when they last doubled, so that a prompt of 400 KB has 186 names and not 1,600
(docs/decisions/0009)."""
_SPANS: Final = list(pairwise(BLOCK_BYTES * end for end in ENDS))


def seed(secret: bytes, *scope: str) -> int:
    """Return what a chain begins with: prompts share blocks only within one `scope` (model, adapter, salt).

    Agents do not know `secret`, so none can work out what a block is called.
    """
    digest = blake2b(key=secret[:64], digest_size=NAME_BYTES)
    for part in scope:
        encoded = part.encode()
        digest.update(len(encoded).to_bytes(4, "big") + encoded)
    return int.from_bytes(digest.digest())


class Chain:
    """The names of the whole blocks of `data`, which end at `ENDS`, after what `before` names.

    By XXH64 of the block with the name before as its seed, which copies nothing (docs/decisions/0009).
    """

    __slots__ = ("_before", "_data", "_spans", "names")

    def __init__(self, before: int, data: bytes | memoryview) -> None:
        self.names: list[int] = []
        self._before = before
        self._data = memoryview(data)
        self._spans = _SPANS[: bisect_right(ENDS, len(data) // BLOCK_BYTES) - 1]

    def extend(self, most_bytes: int) -> bool:
        """Name the next blocks, of so many bytes or a little more. Return whether all have names."""
        names, data, before = self.names, self._data, self._before
        for begin, end in self._spans[len(names) :]:
            if most_bytes <= 0:
                self._before = before
                return False
            before = xxh64_intdigest(data[begin:end], before)
            names.append(before)
            most_bytes -= end - begin
        return True
