"""Health and load as those see them who watch."""

import asyncio
import time

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc import aio
from grpc_health.v1 import health_pb2
from xds.data.orca.v3.orca_load_report_pb2 import OrcaLoadReport
from xds.service.orca.v3.orca_pb2 import OrcaLoadReportRequest

from serving.engine import EngineDead, EngineLoad
from tests.serving.fakes import FakeEngine
from tests.serving.running import Running, open_replica, request, running

pytestmark = pytest.mark.anyio

Status = health_pb2.HealthCheckResponse


def as_it_is(message: bytes) -> bytes:
    return message


def watch_health(served: Running, service: str = "") -> aio.UnaryStreamCall[bytes, Status]:
    method = served.channel.unary_stream("/grpc.health.v1.Health/Watch", as_it_is, Status.FromString)
    return method(health_pb2.HealthCheckRequest(service=service).SerializeToString())


def watch_load(
    served: Running, interval_s: float = 0.0, gateway: str = "one"
) -> aio.UnaryStreamCall[bytes, OrcaLoadReport]:
    path = "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics"
    method = served.channel.unary_stream(path, as_it_is, OrcaLoadReport.FromString)
    interval = Duration()
    interval.FromNanoseconds(int(interval_s * 1e9))
    asked = OrcaLoadReportRequest(report_interval=interval)
    return method(asked.SerializeToString(), metadata=[("x-gateway-id", gateway)])


@pytest.mark.parametrize("service", ["", "inference.v1.Inference"])
async def test_health_is_seen_to_change(service: str) -> None:
    engine = FakeEngine()
    async with running(engine, is_open=False, grace_s=0.0) as served:
        health = aiter(watch_health(served, service))
        assert (await anext(health)).status == Status.NOT_SERVING
        await open_replica(served.replica, engine)
        assert (await anext(health)).status == Status.SERVING
        await served.replica.drain()
        assert (await anext(health)).status == Status.NOT_SERVING
        await served.replica.stop()
        with pytest.raises(aio.AioRpcError) as ended:
            await anext(health)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_health_of_a_service_that_is_not_here() -> None:
    async with running() as served:
        assert (await anext(aiter(watch_health(served, "other")))).status == Status.SERVICE_UNKNOWN
        check = served.channel.unary_unary("/grpc.health.v1.Health/Check", as_it_is, Status.FromString)
        with pytest.raises(aio.AioRpcError) as failed:
            await check(health_pb2.HealthCheckRequest(service="other").SerializeToString())
        assert failed.value.code() is grpc.StatusCode.NOT_FOUND
        assert (await check(b"")).status == Status.SERVING


async def test_an_engine_that_dies_while_nobody_asks_is_seen() -> None:
    engine = FakeEngine()
    async with running(engine) as served:
        health = aiter(watch_health(served))
        assert (await anext(health)).status == Status.SERVING
        engine.load_failure = EngineDead("gone")
        with pytest.raises(EngineDead):
            await served.replica.watch()
        assert (await anext(health)).status == Status.NOT_SERVING


async def test_a_watcher_that_leaves_leaves_nothing() -> None:
    async with running() as served:
        for stream in (watch_health(served), watch_load(served)):
            await stream.read()
            stream.cancel()


async def test_load_is_reported_at_each_change_and_names_what_was_received() -> None:
    engine = FakeEngine(hold=asyncio.Event())
    async with running(engine, load_report_heartbeat_s=60.0) as served:
        load = aiter(watch_load(served))
        first = await anext(load)
        assert (first.named_metrics["received_requests"], first.named_metrics["queue_depth"]) == (0, 0)
        stream = served.stub.Generate(request(), metadata=[("x-gateway-id", "one")])
        second = await anext(load)
        assert (second.named_metrics["received_requests"], second.named_metrics["queue_depth"]) == (1, 1)
        assert second.named_metrics["boot_id"] == first.named_metrics["boot_id"]
        stream.cancel()
        third = await anext(load)
        assert (third.named_metrics["received_requests"], third.named_metrics["queue_depth"]) == (1, 0)


async def test_load_of_the_engine_is_noticed_while_something_runs() -> None:
    engine = FakeEngine(queue=EngineLoad(0, 1, 0.25, 0))
    async with running(engine, load_report_heartbeat_s=60.0) as served:
        load = aiter(watch_load(served))
        assert (await anext(load)).named_metrics["kv_cache_utilization"] == 0.25
        engine.queue = EngineLoad(5, 1, 0.75, 0)
        assert (await anext(load)).named_metrics["kv_cache_utilization"] == 0.75


async def test_an_idle_replica_still_has_a_heartbeat() -> None:
    async with running(load_report_heartbeat_s=0.02) as served:
        load = aiter(watch_load(served))
        assert [(await anext(load)).named_metrics["queue_depth"] for _ in range(3)] == [0, 0, 0]


async def test_a_watcher_may_ask_for_another_heartbeat() -> None:
    async with running(load_report_heartbeat_s=60.0) as served:
        load = aiter(watch_load(served, interval_s=0.02))
        began_at = time.monotonic()
        for _ in range(3):
            await anext(load)
        assert time.monotonic() - began_at >= 0.03


async def test_load_streams_end_when_the_replica_does() -> None:
    async with running(load_report_heartbeat_s=60.0) as served:
        load = aiter(watch_load(served))
        await anext(load)
        await served.replica.stop()
        with pytest.raises(aio.AioRpcError) as ended:
            await anext(load)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
