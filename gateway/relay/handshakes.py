"""Connections of agents that have not shown yet that they speak HTTP/2: how many there may be, and why some fail."""

import logging
from collections.abc import Callable
from typing import Protocol

from gateway import logs
from gateway.errors import Limit
from gateway.metrics import Registry
from gateway.tls.faults import Cause, HandshakeFault

_log = logging.getLogger(__name__)

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
        self._seldom = logs.Seldom(_log, clock)
        # In order of their beginning.
        self._under_way: dict[Greeted, None] = {}
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
        cause = fault.cause.value
        self._failed.child(cause).add()
        if fault.cause not in _UNREMARKABLE:
            self._seldom.warn(cause, "handshake_failed", cause=cause, peer=peer, reason=fault)
