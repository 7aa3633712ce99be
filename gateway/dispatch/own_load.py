"""What this gateway says of itself to gateways in front of it: all of its ready replicas, as if they were one."""

from collections.abc import Sequence

from gateway.fleet.fleet import Fleet
from gateway.fleet.received import Received
from gateway.fleet.shared_counters import Cell, Rows
from gateway.policies.waiting import waiting_requests
from gateway.types import LoadReport, Snapshot, View

__all__ = ["FRESH_S", "OwnLoad"]

FRESH_S = 0.05
"""A report this old is given again: to add up a thousand replicas takes a millisecond and more."""
_BOOT_ID_DIGITS = 13
"""52 bits: a load report has it in a double."""
_MOST_KEPT = 256
"""Reports: each gateway in front has its own."""


class OwnLoad:
    """The same in each worker and in control, since all of them see the whole fleet and all counts.

    As a replica's own report it never counts a request among the received that it does not show among those that wait
    or run. So a gateway in front can add exactly what was sent since (`gateway.fleet.unseen`)."""

    def __init__(self, fleet: Fleet, rows: Rows, process: int, gateway_id: str) -> None:
        """`process` is the worker's number, or control's, as for SharedCounters; `gateway_id`, hexadecimal, is drawn
        anew for each life of the gateway."""
        self._fleet = fleet
        self._rows = rows
        self._boot_id = int(gateway_id[:_BOOT_ID_DIGITS], 16)
        self._received = Received(rows, process)
        self._reports: dict[bytes, LoadReport] = {}

    def follow(self, snapshot: Snapshot) -> None:
        """For processes whose fleet is not kept up to date by others."""
        self._fleet.apply(snapshot)

    def received(self, gateway: bytes) -> None:
        """A request came from a gateway in front; to be told in the step that leases or parks it, or ends it."""
        self._received.add(gateway)

    def report(self, gateway: bytes, now_s: float) -> LoadReport:
        """Return the load as this gateway in front is told it, as of `received_at`."""
        report = self._reports.get(gateway)
        if report is None or now_s - report.received_at > FRESH_S:
            if len(self._reports) >= _MOST_KEPT:
                self._reports.clear()
            report = self._reports[gateway] = self._made(gateway, now_s)
        return report

    def _made(self, gateway: bytes, now_s: float) -> LoadReport:
        self._fleet.look_elsewhere(now_s)
        views = self._fleet.in_use()
        loads = [view.load for view in views if view.load is not None]
        parked = sum([row[Cell.PARKED_REQUESTS] for row in self._rows.workers])
        return LoadReport(
            queue_depth=sum([_queue(view, now_s) for view in views]) + parked,
            running_requests=sum([load.running_requests for load in loads]),
            kv_cache_utilization=_mean([load.kv_cache_utilization for load in loads]),
            uncached_waiting_tokens=sum([_waiting_tokens(view) for view in views]),
            boot_id=self._boot_id,
            received_requests=self._received.total(gateway),
            received_at=now_s,
            utilization=_mean([load.utilization for load in loads]),
            requests_per_s=sum([load.requests_per_s for load in loads]),
            errors_per_s=sum([load.errors_per_s for load in loads]),
            gpu_utilization=_mean([load.gpu_utilization for load in loads]),
            gpu_memory_utilization=_mean([load.gpu_memory_utilization for load in loads]),
            # What slows or breaks single GPUs is left out: it is weighed here, and is no fault of all the others.
            ready_replicas=len(views),
        )

    def __repr__(self) -> str:
        return f"<OwnLoad for {len(self._reports)} gateways>"


def _queue(view: View, now_s: float) -> float:
    """Return how many wait there: never so few that one of ours neither waits nor runs."""
    running = view.load.running_requests if view.load is not None else 0.0
    return max(waiting_requests(view, now_s), view.requests - running)


def _waiting_tokens(view: View) -> float:
    return max(view.load.uncached_waiting_tokens if view.load is not None else 0.0, view.prefill_tokens)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
