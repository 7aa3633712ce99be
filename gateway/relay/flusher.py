"""One write for each socket and turn of the loop."""

from collections.abc import Callable
from typing import Protocol


class Flushable(Protocol):
    def flush(self) -> None:
        """Write what is waiting."""
        ...


class Flusher:
    """Collects the connections that have output. They are flushed when everything that was read in this turn of the
    loop has been relayed: an engine's step that reaches many agents costs one write for each of them."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], object]) -> None:
        self._call_soon = call_soon
        self._dirty: list[Flushable] = []

    def mark(self, connection: Flushable) -> None:
        if not self._dirty:
            self._call_soon(self.flush)
        self._dirty.append(connection)

    def flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for connection in dirty:
            connection.flush()
