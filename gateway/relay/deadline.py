"""When an exchange has to be over."""

from collections.abc import Callable
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from gateway.errors import Failure, Reason
from gateway.relay.timer import SWEEP_INTERVAL_S, Timer

if TYPE_CHECKING:
    from gateway.relay.relay import Relay


class Deadline:
    """It has a timer only where the next sweep might come too late: most requests end long before their deadline."""

    __slots__ = ("_at", "_timer")

    def __init__(self, at: float | None) -> None:
        """`at` is monotonic; None: there is none."""
        self._at = inf if at is None else at
        self._timer: Timer | None = None

    def watch(self, now_s: float, relay: "Relay", on_over: Callable[[Failure], None]) -> None:
        """To be called at the beginning and at each sweep."""
        if self._timer is None and self._at - now_s <= 2 * SWEEP_INTERVAL_S:
            failure = Failure(Reason.DEADLINE_EXCEEDED, "the deadline has passed")
            self._timer = relay.call_at(self._at, partial(on_over, failure))

    def cancel(self) -> None:
        """For good."""
        self._at = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
