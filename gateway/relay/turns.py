"""What agents' connections have read and not looked at yet: a bounded part of it in each turn of the loop."""

from collections import deque
from collections.abc import Callable
from typing import Final

_SLICE_S: Final = 0.0005
"""For all connections together. A short answer passes through some five turns of the loop, and may wait for a slice in
each."""
_FIRST_S: Final = 0.00025
"""For one connection and what it has just read: about two requests, six where they are compiled. Those that came
together go on together, in one write to each replica."""


class Turns:
    """First come, first served. So others wait for a slice, and not for one of each connection that floods us; and
    what has been relayed is written before it."""

    def __init__(
        self, call_soon: Callable[[Callable[[], None]], object], clock: Callable[[], float], flush: Callable[[], None]
    ) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._flush = flush
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_due = False

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` when its turn has come, in another turn of the loop."""
        self._waiting.append(go_on)
        self._schedule()

    def is_over(self, begun_at: float) -> bool:
        """Whether a connection has had its time that began then to look at what it read. It has where others wait:
        many that flood us would each take theirs."""
        return bool(self._waiting) or self._clock() - begun_at >= _FIRST_S

    def _schedule(self) -> None:
        if self._waiting and not self._is_due:
            self._is_due = True
            self._call_soon(self._run)

    def _run(self) -> None:
        self._is_due = False
        self._flush()
        over_at = self._clock() + _SLICE_S
        try:
            # Who comes back meanwhile comes back in another turn.
            for _ in range(len(self._waiting)):
                self._waiting.popleft()()
                if self._clock() >= over_at:
                    break
        finally:
            self._schedule()
