"""How many bytes of requests are held, over all exchanges of all workers."""

from collections.abc import Callable, Sequence
from typing import Final

from gateway.fleet.counters import LocalTally, Tally

CHUNK_BYTES: Final = 64
"""What the interpreter takes for one, beside its bytes: an agent may send them one by one."""
_FREED_CHUNKS: Final = 64
"""In one go: at most a megabyte, which takes 0.1 ms. An agent that leaves may have held half a gigabyte."""


class RequestMemory:
    """A bound that refuses. It does not make agents wait: requests that wait for each other's memory, each incomplete,
    would wait for ever. `tally` knows what other workers hold; `wait` is that of relay.turns."""

    def __init__(
        self,
        limit_bytes: int,
        tally: Tally | None = None,
        wait: Callable[[Callable[[], None]], None] = lambda go_on: go_on(),
    ) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        """Here."""
        self._tally = tally or LocalTally()
        self._wait = wait
        self._unwanted: list[bytes] = []

    def take(self, chunk: bytes) -> bool:
        """Count it in. Return False where all is more than the limit; it counts all the same."""
        self.held_bytes += len(chunk) + CHUNK_BYTES
        self._tally.set(self.held_bytes)
        return self.held_bytes + self._tally.elsewhere() <= self.limit_bytes

    def give_back(self, chunks: Sequence[bytes]) -> None:
        """Nobody else has these: they are freed now, or in some turns of the loop where they are many."""
        if len(chunks) <= _FREED_CHUNKS:
            self._count_out(chunks)
            return
        is_freeing = bool(self._unwanted)
        self._unwanted.extend(chunks)
        if not is_freeing:
            self._wait(self._free)

    def _free(self) -> None:
        self._count_out(self._unwanted[-_FREED_CHUNKS:])
        del self._unwanted[-_FREED_CHUNKS:]
        if self._unwanted:
            self._wait(self._free)

    def _count_out(self, chunks: Sequence[bytes]) -> None:
        for chunk in chunks:
            self.held_bytes -= len(chunk) + CHUNK_BYTES
        self._tally.set(self.held_bytes)
