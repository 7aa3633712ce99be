"""When a watcher of load reports gets one."""

from google.protobuf.duration_pb2 import Duration
from xds.service.orca.v3.orca_pb2 import OrcaLoadReportRequest

from gateway.rpc.report_pace import Look, ReportPace, pace_for

IDLE, CHANGED = "idle", "changed"


def test_a_watcher_gets_the_load_at_once() -> None:
    assert ReportPace(0.1, 1.0).look(IDLE, 50.0, is_busy=False) == Look(0.0)


def test_a_change_is_reported_when_the_floor_is_over() -> None:
    pace = ReportPace(0.125, 1.0)
    pace.sent(IDLE, 50.0)
    assert pace.look(CHANGED, 50.0625, is_busy=True) == Look(0.0625)
    assert pace.look(CHANGED, 50.125, is_busy=True) == Look(0.0)


def test_an_idle_replica_is_looked_at_when_it_changes_or_the_heartbeat_is_due() -> None:
    pace = ReportPace(0.125, 1.0)
    pace.sent(IDLE, 50.0)
    assert pace.look(IDLE, 50.25, is_busy=False) == Look(0.75, or_at_change=True)
    assert pace.look(IDLE, 51.0, is_busy=False) == Look(0.0)


def test_a_busy_replica_is_looked_at_every_floor() -> None:
    pace = ReportPace(0.125, 1.0)
    pace.sent(IDLE, 50.0)
    assert pace.look(IDLE, 50.25, is_busy=True) == Look(0.125)
    assert pace.look(IDLE, 50.9375, is_busy=True) == Look(0.0625)


def test_a_heartbeat_is_never_faster_than_the_floor() -> None:
    pace = ReportPace(0.125, 0.001)
    pace.sent(IDLE, 50.0)
    assert pace.look(IDLE, 50.0625, is_busy=False).in_s == 0.0625


def test_a_watcher_asks_for_an_interval_and_a_floor() -> None:
    pace = pace_for(OrcaLoadReportRequest(report_interval=Duration(seconds=4)), "500", 0.125, 1.0)
    pace.sent(IDLE, 50.0)
    assert pace.look(CHANGED, 50.125, is_busy=True) == Look(0.375)
    assert pace.look(IDLE, 50.0, is_busy=False) == Look(4.0, or_at_change=True)


def test_a_watcher_that_asks_for_nothing_gets_what_is_usual_and_never_more() -> None:
    for asked in ("", "none", "1"):
        pace = pace_for(OrcaLoadReportRequest(), asked, 0.125, 1.0)
        pace.sent(IDLE, 50.0)
        assert pace.look(CHANGED, 50.0, is_busy=True) == Look(0.125)
        assert pace.look(IDLE, 50.0, is_busy=False) == Look(1.0, or_at_change=True)
