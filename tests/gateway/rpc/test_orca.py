from math import inf, nan

import pytest
from xds.data.orca.v3 import orca_load_report_pb2

from gateway.rpc.orca import parse_report
from gateway.types import LoadReport


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
