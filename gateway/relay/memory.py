"""How many bytes of requests are held, over all exchanges of all workers."""

from gateway.fleet.counters import LocalTally, Tally


class RequestMemory:
    """A bound that refuses. It does not make agents wait: requests that wait for each other's memory, each incomplete,
    would wait for ever. `tally` knows what other workers hold."""

    def __init__(self, limit_bytes: int, tally: Tally | None = None) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        """Here."""
        self._tally = tally or LocalTally()

    def take(self, size: int) -> bool:
        """Count `size` bytes in. Return False where all are more than the limit; they count all the same."""
        self.held_bytes += size
        self._tally.set(self.held_bytes)
        return self.held_bytes + self._tally.elsewhere() <= self.limit_bytes

    def give_back(self, size: int) -> None:
        self.held_bytes -= size
        self._tally.set(self.held_bytes)
