"""The KV cache as blocks: who holds them, which can be found again by their prefix, which go first."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

Prefix = Callable[[int], Hashable]
"""Names everything from the first token to the end of block number i. Equal names mean equal tokens."""


class BlockPool:
    """A fixed number of blocks, each free or held by one or more requests. As vLLM 0.32 (vllm/v1/core/block_pool.py):

    A free block that nobody can find (blank) is used before one that has a name (idle). Of idle ones the least recently
    used goes first, and of one request's blocks the last, so that the beginnings of prompts stay longest.

    Where two blocks have the same name, vLLM finds the older one and this pool the newer; nothing else differs.
    """

    def __init__(self, blocks: int) -> None:
        self._holders = [0] * blocks
        self._names: list[Hashable | None] = [None] * blocks
        self._found: dict[Hashable, int] = {}
        self._blank = list(range(blocks))
        self._idle: OrderedDict[int, None] = OrderedDict()

    def __repr__(self) -> str:
        held = len(self._holders) - self.free
        return f"<BlockPool {held} held, {len(self._idle)} idle, {len(self._blank)} blank>"

    @property
    def size(self) -> int:
        return len(self._holders)

    @property
    def free(self) -> int:
        """Blocks that `take` can give: blank ones, and idle ones that are then forgotten."""
        return len(self._blank) + len(self._idle)

    @property
    def utilization(self) -> float:
        """Blocks held, of all: between 0 and 1."""
        return 1.0 - self.free / len(self._holders)

    def find(self, prefix: Prefix, at_most: int) -> list[int]:
        """Return the longest run of blocks from the first one on that are in the cache, at most so many."""
        hits: list[int] = []
        for number in range(at_most):
            block = self._found.get(prefix(number))
            if block is None:
                break
            hits.append(block)
        return hits

    def idle_among(self, blocks: Sequence[int]) -> int:
        """Count those that nobody holds: sharing them makes `free` smaller by as many."""
        return sum(1 for block in blocks if not self._holders[block])

    def share(self, blocks: Sequence[int]) -> None:
        """Hold blocks that `find` returned."""
        for block in blocks:
            if not self._holders[block]:
                del self._idle[block]
            self._holders[block] += 1

    def take(self, count: int) -> list[int]:
        """Hold new blocks; `count` is at most `free`."""
        taken = [self._blank.pop() if self._blank else self._forget() for _ in range(count)]
        for block in taken:
            self._holders[block] = 1
        return taken

    def name(self, block: int, name: Hashable) -> None:
        """Let a block be found from now on. Its tokens are all known."""
        self._names[block] = name
        self._found[name] = block

    def release(self, blocks: Sequence[int]) -> None:
        """Give up one request's hold on its blocks, given in the order of the prompt."""
        for block in reversed(blocks):
            self._holders[block] -= 1
            if self._holders[block]:
                continue
            if self._names[block] is None:
                self._blank.append(block)
            else:
                self._idle[block] = None

    def _forget(self) -> int:
        block, _ = self._idle.popitem(last=False)
        name, self._names[block] = self._names[block], None
        if self._found.get(name) == block:
            del self._found[name]
        return block
