from math import inf, nan

import pytest
from xds.data.orca.v3 import orca_load_report_pb2

from gateway.rpc.orca import parse_numbers, parse_report, usage_of
from gateway.types import LoadReport, Usage


def serialized(**named: float) -> bytes:
    return orca_load_report_pb2.OrcaLoadReport(named_metrics=named).SerializeToString()


def test_reads_what_a_replica_names() -> None:
    report = serialized(
        queue_depth=3,
        running_requests=5,
        kv_cache_utilization=0.25,
        uncached_waiting_tokens=700,
        boot_id=2**52 + 1,
        received_requests=9,
    )
    assert parse_report(report, 12.5) == LoadReport(3, 5, 0.25, 700, 2**52 + 1, 9, 12.5)


def test_what_is_not_named_is_zero() -> None:
    assert parse_report(serialized(other=1), 12.5) == LoadReport(0, 0, 0, 0, 0, 0, 12.5)


@pytest.mark.parametrize(
    "report", [b"\xff\xff", serialized(boot_id=inf), serialized(received_requests=nan), serialized(queue_depth=-inf)]
)
def test_a_malformed_report_is_refused(report: bytes) -> None:
    with pytest.raises(ValueError, match="malformed load report"):
        parse_report(report, 0)


def test_reads_what_a_request_has_cost() -> None:
    report = orca_load_report_pb2.OrcaLoadReport(
        request_cost={"prompt_tokens": 100.0, "cached_tokens": 64.0, "completion_tokens": 7.0}
    )
    assert usage_of(parse_numbers(report.SerializeToString())) == Usage(100, 64, 7)
    report.request_cost["cached_tokens"] = 200.0
    assert usage_of(parse_numbers(report.SerializeToString())) == Usage(100, 100, 7)
    assert usage_of(parse_numbers(orca_load_report_pb2.OrcaLoadReport().SerializeToString())) is None


@pytest.mark.parametrize("count", [nan, inf, -1.0])
def test_a_cost_that_is_no_count_is_refused(count: float) -> None:
    report = orca_load_report_pb2.OrcaLoadReport(request_cost={"prompt_tokens": count})
    with pytest.raises(ValueError, match="no count"):
        usage_of(parse_numbers(report.SerializeToString()))
    with pytest.raises(ValueError, match="malformed"):
        usage_of(parse_numbers(b"\xff"))


def test_reads_the_rates_that_weights_are_made_of() -> None:
    report = orca_load_report_pb2.OrcaLoadReport(application_utilization=0.5, rps_fractional=8.0, eps=inf)
    load = parse_report(report.SerializeToString(), 1.0)
    assert (load.utilization, load.requests_per_s, load.errors_per_s) == (0.5, 8.0, 0.0)
