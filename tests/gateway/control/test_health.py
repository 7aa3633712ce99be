import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from gateway.control.health import INFERENCE, Health
from gateway.control.replica_calls import ReplicaCalls
from gateway.control.services import running_server

SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


class Asker:
    def __init__(self, health: Health, channel: grpc.aio.Channel) -> None:
        self.health = health
        self._calls = ReplicaCalls(channel)

    async def check(self, service: str) -> int:
        return HealthCheckResponse.FromString(await self._calls.check(HealthCheckRequest(service=service))).status

    @asynccontextmanager
    async def watching(self, service: str) -> AsyncGenerator["Watcher", None]:
        call = self._calls.watch(HealthCheckRequest(service=service))
        try:
            yield Watcher(call)
        finally:
            call.cancel()


class Watcher:
    def __init__(self, call: grpc.aio.UnaryStreamCall[HealthCheckRequest, bytes]) -> None:
        self._call = call

    async def told(self) -> int:
        async with asyncio.timeout(10):
            serialized = await self._call.read()
        assert isinstance(serialized, bytes)
        return HealthCheckResponse.FromString(serialized).status


@asynccontextmanager
async def asking(directory: Path) -> AsyncGenerator[Asker, None]:
    health = Health()
    target = f"unix:{directory}/control.sock"
    async with running_server(target, [health.handler()]), grpc.aio.insecure_channel(target) as channel:
        yield Asker(health, channel)


async def test_the_process_serves_at_once_and_inference_when_a_replica_is_ready(tmp_path: Path) -> None:
    async with asking(tmp_path) as asker:
        assert (await asker.check(""), await asker.check(INFERENCE)) == (SERVING, NOT_SERVING)
        asker.health.set_ready(True)
        assert (await asker.check(""), await asker.check(INFERENCE)) == (SERVING, SERVING)


async def test_neither_serves_while_draining_whatever_becomes_of_the_fleet(tmp_path: Path) -> None:
    async with asking(tmp_path) as asker:
        asker.health.set_ready(True)
        asker.health.drain()
        asker.health.set_ready(True)
        assert (await asker.check(""), await asker.check(INFERENCE)) == (NOT_SERVING, NOT_SERVING)


async def test_a_watcher_is_told_at_once_and_then_of_each_change(tmp_path: Path) -> None:
    async with asking(tmp_path) as asker, asker.watching(INFERENCE) as inference, asker.watching("") as process:
        assert (await inference.told(), await process.told()) == (NOT_SERVING, SERVING)
        asker.health.set_ready(True)
        assert await inference.told() == SERVING
        asker.health.drain()
        assert (await inference.told(), await process.told()) == (NOT_SERVING, NOT_SERVING)


async def test_an_unknown_service_is_not_found_and_can_be_watched(tmp_path: Path) -> None:
    async with asking(tmp_path) as asker, asker.watching("no.Service") as watcher:
        assert await watcher.told() == HealthCheckResponse.SERVICE_UNKNOWN
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await asker.check("no.Service")
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
