"""Connections of agents that have not shown yet that they speak HTTP/2: how many there may be, and why some fail."""

import logging
from collections.abc import Callable
from typing import Protocol

from gateway import logs
from gateway.errors import Limit
from gateway.metrics import Registry
from gateway.tls.faults import Cause, HandshakeFault

_log = logging.getLogger(__name__)

_LOG_INTERVAL_S = 10.0
"""Between two lines for one cause: whoever can connect can fail, as often as they like."""
_UNREMARKABLE = (Cause.CLOSED, Cause.HTTP1)
"""Balancers look whether the port is open, people and probes ask what is here."""


class Greeted(Protocol):
    """A connection whose handshake is under way."""

    def refuse(self, limit: Limit) -> None:
        """End it for this."""
        ...


class Handshakes:
    def __init__(self, limit: int, registry: Registry, clock: Callable[[], float]) -> None:
        self.limit = limit
        self._clock = clock
        # In order of their beginning.
        self._under_way: dict[Greeted, None] = {}
        self._last_log_at: dict[Cause, float] = {}
        self._unlogged = dict.fromkeys(Cause, 0)
        self._gauge = registry.gauge(
            "inference_gateway_handshakes_under_way", "Connections of agents that have not spoken HTTP/2 yet."
        ).child()
        self._secured = registry.counter(
            "inference_gateway_tls_handshakes_total", "TLS handshakes with agents that succeeded.", "version"
        )
        self._failed = registry.counter(
            "inference_gateway_handshakes_failed_total",
            "Connections of agents that came to nothing, by cause.",
            "cause",
        )

    def begin(self, connection: Greeted) -> None:
        """Above the limit the oldest ends: one that means well takes some milliseconds, and is not among those."""
        self._under_way[connection] = None
        if len(self._under_way) > self.limit:
            oldest = next(iter(self._under_way))
            del self._under_way[oldest]
            oldest.refuse(Limit.HANDSHAKES)
        self._gauge.set(len(self._under_way))

    def end(self, connection: Greeted) -> None:
        self._under_way.pop(connection, None)
        self._gauge.set(len(self._under_way))

    def secured(self, version: str) -> None:
        """TLS is up on a connection; HTTP/2 may still be missing."""
        self._secured.child(version).add()

    def failed(self, fault: HandshakeFault, peer: object) -> None:
        """Count, and log what an operator may want to mend. `peer` is the address, for people."""
        cause = fault.cause
        self._failed.child(cause.value).add()
        if cause in _UNREMARKABLE:
            return
        now_s = self._clock()
        last_at = self._last_log_at.get(cause)
        if last_at is not None and now_s - last_at < _LOG_INTERVAL_S:
            self._unlogged[cause] += 1
            return
        self._last_log_at[cause] = now_s
        more, self._unlogged[cause] = self._unlogged[cause] or None, 0
        _log.warning(logs.line("handshake_failed", cause=cause.value, peer=peer, reason=fault, unlogged_before=more))
