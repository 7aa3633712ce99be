"""A request that waits for a replica: its place in admission's queue, and for how long it may be there."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.dispatch.admission import Parked
from gateway.errors import Failure

if TYPE_CHECKING:
    from gateway.relay.relay import Relay


class Patience:
    """`on_over` is told why, once it has waited for too long."""

    __slots__ = ("_admission", "_on_over", "_parked", "_timer")

    def __init__(self, relay: "Relay", parked: Parked, on_over: Callable[[Failure], None]) -> None:
        self._admission = relay.admission
        self._parked = parked
        self._on_over = on_over
        self._timer = relay.call_at(parked.expires_at, self._expire)

    def end(self) -> None:
        """It does not wait any more."""
        self._timer.cancel()
        self._admission.cancel(self._parked)

    def _expire(self) -> None:
        self._on_over(self._admission.expire(self._parked))
