"""How many bytes of requests are held, over all exchanges of a worker."""


class RequestMemory:
    """A bound that refuses. It does not make agents wait: requests that wait for each other's memory, each incomplete,
    would wait for ever."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0

    def take(self, size: int) -> bool:
        """Count `size` bytes in. Return False where they are more than the limit; they count all the same."""
        self.held_bytes += size
        return self.held_bytes <= self.limit_bytes

    def give_back(self, size: int) -> None:
        self.held_bytes -= size
