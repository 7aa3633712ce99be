"""Which replica holds which block, bounded for each replica by its KV cache and for all by memory."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from gateway.dispatch.prefix_index.chain import ENDS

__all__ = ["Holders"]

_SETS_REMEMBERED = 256
_FEW = 8
"""Replicas that have all of a conversation: every one has others, so these are neither remembered nor looked for among
all."""


class _Held:
    """The blocks of one life of a replica, in two generations.

    Whatever a prompt uses joins the young one. Once that is half of the capacity it becomes the old one, and what was
    old and is not young is forgotten: least recently used, to within half a cache, in few calls of C. Both together
    may reach twice the capacity, where prompts are as long as that.
    A prompt joins with all its blocks from the first on, so that whoever holds a block holds those before it. A
    capacity is counted in single blocks, however many of them one name stands for.
    """

    __slots__ = ("bit", "blocks_max", "capacity", "incarnation", "old", "young", "young_blocks")

    def __init__(self, incarnation: int, bit: int, blocks_max: int) -> None:
        self.incarnation = incarnation
        self.bit = bit
        self.blocks_max = blocks_max
        self.capacity = blocks_max
        """Learnt: other gateways, output tokens and a larger block share leave less than the whole cache."""
        self.young: dict[int, None] = {}
        self.young_blocks = 0
        self.old: dict[int, None] = {}

    def age(self) -> set[int]:
        """Return those that are forgotten for it."""
        forgotten = self.old.keys() - self.young.keys()
        self.old, self.young, self.young_blocks = self.young, {}, 0
        return forgotten

    def join(self, blocks: Sequence[int]) -> None:
        """Let a prompt be young. Those of its blocks that are already are its first."""
        older = len(self.young)
        self.young.update(dict.fromkeys(blocks))
        added = len(self.young) - older
        self.young_blocks += ENDS[len(blocks)] - ENDS[len(blocks) - added]


class Holders:
    """An index from block to the set of replicas that hold it, a bit for each."""

    def __init__(self, blocks_max: int) -> None:
        self._blocks_max = blocks_max
        self._held: dict[str, _Held] = {}
        self._sets: dict[int, int] = {}
        self._names: list[str] = []
        """By bit; empty: free."""
        self._ids: dict[int, tuple[str, ...]] = {}

    def open(self, replica_id: str, incarnation: int, capacity: int) -> None:
        """Begin with nothing cached, or take notice of another capacity of the same life."""
        held = self._held.get(replica_id)
        if held is not None and held.incarnation != incarnation:
            self.close(replica_id)
            held = None
        if held is None:
            held = self._held[replica_id] = _Held(incarnation, self._bit(replica_id), capacity)
        if held.blocks_max != capacity:
            held.blocks_max = held.capacity = capacity

    def close(self, replica_id: str) -> None:
        held = self._held.pop(replica_id, None)
        if held is not None:
            self._forget(held.bit, held.old.keys() | held.young.keys())
            self._names[held.bit.bit_length() - 1] = ""
            self._ids.clear()

    def is_open(self, replica_id: str, incarnation: int) -> bool:
        held = self._held.get(replica_id)
        return held is not None and held.incarnation == incarnation

    def use(self, replica_id: str, blocks: Sequence[int]) -> bool:
        """Take notice that the replica reads a prompt of these blocks. Return whether any was new to it."""
        held = self._held.get(replica_id)
        if held is None:
            return False
        room = min(held.capacity, self._blocks_max // (2 * len(self._held)))
        if room < ENDS[len(blocks)]:
            blocks = blocks[: bisect_right(ENDS, room) - 1]
        if blocks and blocks[-1] in held.young and 2 * held.young_blocks <= room:
            return False
        sets, bit = self._sets, held.bit
        known = self._depth(bit, blocks)
        somewhere = self._depth(-1, blocks, known)
        for block in blocks[known:somewhere]:
            sets[block] |= bit
        sets.update(dict.fromkeys(blocks[somewhere:], bit))
        held.join(blocks)
        if 2 * held.young_blocks > room:
            self._forget(bit, held.age())
        return known < len(blocks)

    def missed(self, replica_id: str) -> None:
        """It had less than it was thought to have: what it used longest ago is gone, and so is some of its room."""
        held = self._held.get(replica_id)
        if held is not None:
            held.capacity = max(held.blocks_max // 8, held.capacity * 7 // 8)
            self._forget(held.bit, held.age())

    def surprised(self, replica_id: str) -> None:
        """It had more than it was thought to have: it forgets later than we do."""
        held = self._held.get(replica_id)
        if held is not None:
            held.capacity = min(held.blocks_max, held.capacity + held.blocks_max // 64 + 1)

    def depth(self, replica_id: str, blocks: Sequence[int]) -> int:
        """Return how many names, from the first on, the replica holds."""
        held = self._held.get(replica_id)
        return self._depth(held.bit, blocks) if held else 0

    def depths(self, blocks: Sequence[int]) -> Iterator[tuple[tuple[str, ...], int]]:
        """Yield how many blocks from the first on some replicas hold at least, and their ids: fewest blocks and most
        replicas first, so that many prompts have their first sets in common.

        Sets only shrink along a chain, so halving finds where they do: a few look-ups for each depth that there is.
        """
        everyone = self._sets.get(blocks[0], 0) if blocks else 0
        # Most of those that were sent a prompt, or what it goes on from, have all of it.
        whole = everyone & self._sets.get(blocks[-1], 0) if blocks else 0
        spans = [(1, len(blocks) - 1, everyone ^ whole)]
        while spans:
            low, high, those = spans.pop()
            if not those:
                continue
            if low == high:
                yield self._ids_of(self._sets[blocks[low - 1]]), low
                continue
            middle = (low + high + 1) // 2
            reach = self._sets.get(blocks[middle - 1], 0) & those
            spans += [(middle, high, reach), (low, middle - 1, those ^ reach)]
        if whole:
            yield self._ids_of(whole), len(blocks)

    def estimated_bytes(self) -> int:
        """A name is 48 bytes, a place in a dictionary some 64, a set of replicas 28 and a bit for each."""
        return len(self) * 64 + len(self._sets) * (48 + 64 + 28 + len(self._names) // 8)

    def __len__(self) -> int:
        """Names held, by each replica that holds it: at most `blocks_max`, for one may be in both generations."""
        return sum(len(held.young) + len(held.old) for held in self._held.values())

    def _depth(self, bit: int, blocks: Sequence[int], low: int = 0) -> int:
        """Return how many blocks from the first on, at least `low`, any replica of `bit` holds; -1: anybody."""
        high = len(blocks)
        if high > low and self._sets.get(blocks[-1], 0) & bit:
            return high
        while low < high:
            middle = (low + high + 1) // 2
            if self._sets.get(blocks[middle - 1], 0) & bit:
                low = middle
            else:
                high = middle - 1
        return low

    def _forget(self, bit: int, blocks: "set[int]") -> None:
        sets = self._sets
        for block in blocks:
            left = sets.get(block, 0) & ~bit
            if left:
                sets[block] = left
            else:
                sets.pop(block, None)

    def _bit(self, replica_id: str) -> int:
        self._ids.clear()
        at = self._names.index("") if "" in self._names else len(self._names)
        self._names[at : at + 1] = [replica_id]
        return 1 << at

    def _ids_of(self, those: int) -> tuple[str, ...]:
        ids = self._ids.get(those)
        if ids is None:
            if those.bit_count() <= _FEW:
                return tuple([self._names[bit.bit_length() - 1] for bit in _bits(those)])
            if len(self._ids) >= _SETS_REMEMBERED:
                self._ids.clear()
            bits = zip(self._names, reversed(f"{those:b}"), strict=False)
            ids = self._ids[those] = tuple([name for name, bit in bits if bit == "1"])
        return ids


def _bits(those: int) -> Iterator[int]:
    while those:
        lowest = those & -those
        yield lowest
        those ^= lowest
