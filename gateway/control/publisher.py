"""Tells workers of the fleet: at once where it matters, seldom where only load has changed."""

from collections.abc import Callable
from typing import Protocol

from gateway.control.fleet_owner import Change

LOAD_DELAY_S = 0.01
"""A thousand replicas report some thousand times a second; a policy does not see the difference."""


class Timer(Protocol):
    def cancel(self) -> None: ...


class Publisher:
    """`publish` is called once for all changes of one turn of the loop, with FLEET; and once for those of load of
    `LOAD_DELAY_S`, with LOAD unless there are others.

    `call_later(delay_s, callback)` is the loop's."""

    def __init__(
        self, publish: Callable[[Change], None], call_later: Callable[[float, Callable[[], None]], Timer]
    ) -> None:
        self._publish = publish
        self._call_later = call_later
        self._timer: Timer | None = None
        self._is_urgent = False

    def changed(self, change: Change) -> None:
        is_urgent = change is Change.FLEET
        if self._timer is not None:
            if self._is_urgent or not is_urgent:
                return
            self._timer.cancel()
        self._is_urgent = is_urgent
        self._timer = self._call_later(0.0 if is_urgent else LOAD_DELAY_S, self._due)

    def _due(self) -> None:
        self._timer = None
        self._publish(Change.FLEET if self._is_urgent else Change.LOAD)
