from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import astuple
from xds.data.orca.v3.orca_load_report_pb2 import OrcaLoadReport

from gateway.rpc.orca import parse_report
from serving.engine import EngineDead, EngineLoad
from serving.gpu import GpuFacts
from serving.load import MAX_GATEWAYS, Cost, Load, LoadState, Rate

IDLE = LoadState(0, 0, 0.0, 0, 0)


class FakeEngineLoad:
    def __init__(self, *loads: EngineLoad | EngineDead) -> None:
        self._loads = list(loads)

    def __call__(self) -> EngineLoad:
        load = self._loads.pop(0) if len(self._loads) > 1 else self._loads[0]
        if isinstance(load, EngineDead):
            raise load
        return load


def load_of(*loads: EngineLoad | EngineDead) -> Load:
    return Load(FakeEngineLoad(*loads), boot_id=77, clock=lambda: 5.0)


def test_a_report_is_what_a_gateway_reads() -> None:
    load = load_of(EngineLoad(3, 2, 0.5, 900))
    load.begin("a")
    load.begin("b")
    load.begin("a")
    load.end(has_failed=True)
    report = parse_report(load.report(load.state("a")), received_at=1.0)
    assert astuple(report)[:7] == (3.0, 2.0, 0.5, 900.0, 77, 2, 1.0)


def test_a_report_tells_of_gpus_once_they_were_read() -> None:
    load = load_of(EngineLoad(0, 0, 0.0, 0))
    load.gpus = GpuFacts(0.75, 0.5, throttled=1, faults=3)
    report = parse_report(load.report(load.state("")), received_at=1.0)
    told = report.gpu_utilization, report.gpu_memory_utilization, report.gpus_throttled, report.gpu_faults
    assert told == (0.75, 0.5, 1.0, 3.0)


def test_a_report_tells_other_balancers_what_they_know_to_read() -> None:
    load = load_of(EngineLoad(0, 1, 0.25, 0))
    for has_failed in (False, True):
        load.begin("")
        load.end(has_failed=has_failed)
    report = OrcaLoadReport.FromString(load.report(load.state(""), Cost(7, 5, 3)))
    assert (report.application_utilization, report.rps_fractional, report.eps) == (0.25, 0.2, 0.1)
    assert dict(report.request_cost) == {"prompt_tokens": 7, "cached_tokens": 5, "completion_tokens": 3}


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_whoever_was_received_is_queued_or_runs(queued: int, runs: int, received: int) -> None:
    load = load_of(EngineLoad(queued, runs, 0.0, 0))
    for _ in range(received):
        load.begin("a")
    state = load.state("a")
    assert state.queue_depth >= queued
    assert state.queue_depth + state.running_requests >= received


def test_a_dead_engine_is_reported_as_it_was_last() -> None:
    load = load_of(EngineLoad(0, 4, 0.5, 0), EngineDead("gone"))
    assert load.state("") == load.state("")


def test_gateways_that_are_silent_longest_are_forgotten_first() -> None:
    load = load_of(EngineLoad(0, 0, 0.0, 0))
    for number in range(MAX_GATEWAYS):
        load.begin(str(number))
    load.begin("0")
    load.begin("new")
    assert [load.state(name).received_requests for name in ("0", "1", "2", "new")] == [2, 0, 1, 1]


@given(st.lists(st.integers(0, 100), max_size=60))
def test_a_rate_counts_the_last_ten_seconds(times: list[int]) -> None:
    rate, times = Rate(), sorted(times)
    for at in times:
        rate.add(at + 0.5)
    now = times[-1] if times else 0
    assert rate.value(now + 0.9) == sum(at > now - Rate.WINDOW_S for at in times) / Rate.WINDOW_S
    assert rate.value(now + Rate.WINDOW_S) == 0
