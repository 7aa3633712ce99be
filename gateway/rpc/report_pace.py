"""When somebody who watches load reports gets one: at a change, but not too often, and as a heartbeat."""

from typing import NamedTuple

from xds.service.orca.v3.orca_pb2 import OrcaLoadReportRequest

__all__ = ["Look", "ReportPace", "pace_for"]


class Look(NamedTuple):
    """When to look at the load again."""

    in_s: float
    """0: report now."""
    or_at_change: bool = False


class ReportPace:
    """One watcher gets a report at a change, at most every `floor_s`, and at least every `heartbeat_s`."""

    def __init__(self, floor_s: float, heartbeat_s: float) -> None:
        self._floor_s = floor_s
        self._heartbeat_s = max(heartbeat_s, floor_s)
        self._sent: object = None
        self._sent_at = 0.0

    def look(self, state: object, now_s: float, *, is_busy: bool) -> Look:
        """`state`, never None, is compared with the one last sent. `is_busy`: it may change without a notice."""
        age_s = now_s - self._sent_at
        if self._sent is None or age_s >= self._heartbeat_s:
            return Look(0.0)
        if state != self._sent:
            return Look(max(0.0, self._floor_s - age_s))
        left_s = self._heartbeat_s - age_s
        return Look(min(self._floor_s, left_s)) if is_busy else Look(left_s, or_at_change=True)

    def sent(self, state: object, now_s: float) -> None:
        self._sent = state
        self._sent_at = now_s


def pace_for(request: OrcaLoadReportRequest, asked_floor_ms: str, floor_s: float, heartbeat_s: float) -> ReportPace:
    """Return what the watcher asks for, by its request and by metadata `orca.FLOOR`: never more often than `floor_s`,
    and where it names no interval every `heartbeat_s`."""
    interval_s = request.report_interval.ToNanoseconds() / 1e9
    asked_s = int(asked_floor_ms) / 1000 if asked_floor_ms.isdecimal() else 0.0
    return ReportPace(max(floor_s, asked_s), interval_s if interval_s > 0 else heartbeat_s)
