"""What connections tell of those whom they lead to."""

import logging
from collections.abc import Callable

from gateway import logs
from gateway.errors import Limit
from gateway.fleet.fleet import Fleet
from gateway.relay.metrics import RelayMetrics

_log = logging.getLogger(__name__)


class ReplicaWatch:
    """Of one incarnation of a replica (relay.pool.PoolWatcher)."""

    def __init__(self, replica_id: str, fleet: Fleet, metrics: RelayMetrics, clock: Callable[[], float]) -> None:
        self._replica_id = replica_id
        self._fleet = fleet
        self._metrics = metrics
        self._seldom = logs.Seldom(_log, clock)

    def on_usable(self, is_usable: bool) -> None:
        self._fleet.set_reachable(self._replica_id, is_usable)

    def on_limit(self, limit: Limit) -> None:
        self._metrics.replica_met(self._replica_id, limit)
        self._seldom.warn(limit.value, "replica_limit_met", replica=self._replica_id, limit=limit.value)


class ControlWatch:
    """Of control, which is one of us: nothing is decided by it (relay.pool.PoolWatcher)."""

    def on_usable(self, is_usable: bool) -> None: ...

    def on_limit(self, limit: Limit) -> None:
        _log.error(logs.line("control_limit_met", limit=limit.value))
