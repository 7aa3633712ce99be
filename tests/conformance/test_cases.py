"""The cases that h2spec 2.6 lists, against the core in memory and against a running gateway."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.cluster import Cluster, Plan
from benchmarks.processes import Processes
from gateway.http2.frames import ErrorCode
from tests.conformance.__main__ import CASES, STRICT, misses
from tests.conformance.script import Case, Player, play
from tests.conformance.wires import MemoryWire

# Their client uses HPACK's dynamic table although we announce one of 0 bytes, and have its acknowledgement. A decoder
# has to refuse that (RFC 7541, 4.2 and 6.3): decision 3 says why we keep no table.
USE_A_TABLE = {"generic/5/14", "generic/5/15", "http2/6.10/1"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A gateway without replicas."""
    with Processes(tmp_path) as processes:
        made = Cluster(processes, Plan(replicas=0, model="m"), tmp_path)
        made.start()
        yield made


def test_there_are_as_many_cases_as_h2spec_has() -> None:
    assert len({case.id for case in CASES} - {STRICT}) == 146


@pytest.mark.parametrize("case", CASES, ids=[f"{case.id} {case.says}" for case in CASES])
def test_case(case: Case) -> None:
    wire = MemoryWire()
    if case.id in USE_A_TABLE:
        assert not play(case, Player(wire))
        assert wire.http2.fault is not None
        assert wire.http2.fault.code is ErrorCode.COMPRESSION_ERROR
    else:
        assert play(case, Player(wire))


@pytest.mark.e2e
def test_a_running_gateway_passes_all_but_three(cluster: Cluster) -> None:
    assert {case.id for case in misses(cluster.address, timeout_s=10)} == USE_A_TABLE
