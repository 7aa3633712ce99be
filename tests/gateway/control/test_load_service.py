"""The stream of the gateway's own load, as a gateway in front reads it."""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import grpc.aio
import pytest
from xds.service.orca.v3.orca_pb2 import OrcaLoadReportRequest

from gateway.control.load_service import load_handler
from gateway.control.replica_calls import ReplicaCalls
from gateway.control.services import running_server
from gateway.dispatch.own_load import OwnLoad
from gateway.fleet.fleet import Fleet
from gateway.fleet.received import Received
from gateway.fleet.shared_counters import SharedCounters
from gateway.rpc.orca import parse_report
from gateway.types import LoadReport, ReplicaRecord, Snapshot
from tests.gateway.fleets import row, shared_rows

pytestmark = pytest.mark.anyio


def fleets(records: Callable[[], ReplicaRecord]) -> Callable[[], Snapshot]:
    versions = itertools.count(1)
    return lambda: Snapshot(next(versions), (records()._replace(slot=0),))


async def read(channel: grpc.aio.Channel, gateway: str, count: int) -> Sequence[LoadReport]:
    metadata = (("x-gateway-id", gateway),)
    call = ReplicaCalls(channel).load_reports(OrcaLoadReportRequest(), metadata=metadata)
    async with asyncio.timeout(30):
        reports = [await call.read() for _ in range(count)]
    call.cancel()
    return [parse_report(report, 0.0) for report in reports if isinstance(report, bytes)]


async def test_each_gateway_in_front_is_told_of_changes_and_of_its_own_requests(tmp_path: Path) -> None:
    rows = shared_rows(1)
    own = OwnLoad(Fleet(SharedCounters(rows, 1, is_ordered=True)), rows, 1, 32 * "1")
    worker, queue = Received(rows, 0), itertools.count()
    worker.add(b"one")

    def record() -> ReplicaRecord:
        load = LoadReport(next(queue), 0, 0, 0, 7, 0, time.monotonic())
        return row("a")._replace(load=load)

    target = f"unix:{tmp_path}/control.sock"
    handler = load_handler(own, fleets(record), time.monotonic)
    async with running_server(target, [handler]), grpc.aio.insecure_channel(target) as channel:
        one, another = await asyncio.gather(read(channel, "one", 3), read(channel, "another", 2))
    assert [report.received_requests for report in one] == [1, 1, 1]
    assert [report.received_requests for report in another] == [0, 0]
    assert {report.boot_id for report in (*one, *another)} == {0x1111111111111}
    depths = [report.queue_depth for report in one]
    assert depths == sorted(set(depths))
