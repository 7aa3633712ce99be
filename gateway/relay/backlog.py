"""What waits until an agent reads it."""


class Backlog:
    """Bytes of one response that the agent's windows or its socket do not take."""

    __slots__ = ("_goal_bytes", "_since", "_taken_bytes", "held_bytes")

    def __init__(self) -> None:
        self.held_bytes = 0
        self._taken_bytes = 0
        self._goal_bytes = 0
        self._since: float | None = None

    def add(self, size: int) -> None:
        self.held_bytes += size

    def take(self, size: int) -> None:
        """The agent's side has taken `size` bytes."""
        self.held_bytes -= size
        self._taken_bytes += size

    def is_late(self, now_s: float, timeout_s: float) -> bool:
        """Return whether a byte has waited for longer than `timeout_s`. It is found out by asking now and then: late by
        another `timeout_s` at most. So an agent that takes a byte a minute is as late as one that takes none."""
        if not self.held_bytes:
            self._since = None
        elif self._since is None or self._taken_bytes >= self._goal_bytes:
            self._since = now_s
            self._goal_bytes = self._taken_bytes + self.held_bytes
        return self._since is not None and now_s - self._since > timeout_s
