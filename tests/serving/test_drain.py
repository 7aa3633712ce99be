"""How a replica stops, and what of it is seen."""

import asyncio
import re
import time

import grpc
import pytest
from grpc import aio

from serving.app import run
from serving.config import SettingsError
from serving.engine import EngineDead
from serving.lifecycle import Phase
from tests.serving.fakes import FakeEngine
from tests.serving.running import SETTINGS, ended, request, running
from tests.serving.test_watching import watch_health, watch_load

pytestmark = pytest.mark.anyio


async def test_what_runs_finishes_and_what_comes_is_refused() -> None:
    engine = FakeEngine(hold=asyncio.Event())
    async with running(engine) as served, asyncio.TaskGroup() as group:
        stream = aiter(served.stub.Generate(request()))
        text = (await anext(stream)).text
        drained = group.create_task(served.replica.drain())
        while served.replica.lifecycle.phase is not Phase.REFUSING:
            await served.replica.lifecycle.changes.wait()
        with pytest.raises(aio.AioRpcError) as failed:
            [message async for message in served.stub.Generate(request())]
        how = ended(failed.value)
        assert (how.code, how.reason, how.pushback_ms) == (grpc.StatusCode.UNAVAILABLE, "DRAINING", "1000")
        assert not drained.done()
        assert engine.hold is not None
        engine.hold.set()
        text += "".join([message.text async for message in stream])
        assert text == "hello"
        await drained


async def test_takes_requests_until_the_pause_is_over() -> None:
    async with running(drain_pause_s=0.3) as served, asyncio.TaskGroup() as group:
        drained = group.create_task(served.replica.drain())
        while served.replica.lifecycle.phase is not Phase.LEAVING:
            await asyncio.sleep(0)
        assert len([message async for message in served.stub.Generate(request())]) == 5
        await drained


async def test_waits_for_the_grace_and_no_longer() -> None:
    engine = FakeEngine(hold=asyncio.Event())
    async with running(engine, grace_s=0.1) as served:
        stream = aiter(served.stub.Generate(request()))
        await anext(stream)
        began_at = time.monotonic()
        await served.replica.drain()
        assert 0.1 <= time.monotonic() - began_at < 2
        await served.replica.stop()
        with pytest.raises(aio.AioRpcError) as cut:
            await anext(stream)
        assert cut.value.code() is grpc.StatusCode.UNAVAILABLE
    assert (engine.closed, engine.is_closed) == (1, True)


async def test_those_who_watch_do_not_use_up_the_grace() -> None:
    async with running(grace_s=60.0, load_report_heartbeat_s=60.0) as served:
        health, load = aiter(watch_health(served)), aiter(watch_load(served))
        await anext(health)
        await anext(load)
        began_at = time.monotonic()
        await served.replica.drain()
        await served.replica.stop()
        assert time.monotonic() - began_at < 0.9
    assert served.engine.is_closed


async def test_a_dead_engine_is_not_waited_for() -> None:
    engine = FakeEngine(hold=asyncio.Event(), failure=EngineDead("gone"), fails_after=1)
    async with running(engine, grace_s=60.0) as served:
        stream = aiter(served.stub.Generate(request()))
        await anext(stream)
        assert engine.hold is not None
        engine.hold.set()
        with pytest.raises(EngineDead):
            await served.replica.watch()
        await asyncio.wait_for(served.replica.drain(), 5)


async def test_a_replica_whose_engine_is_gone_exits_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    engine = FakeEngine()
    engine.load_failure = EngineDead("gone")

    async def create() -> FakeEngine:
        return engine

    assert await asyncio.wait_for(run(SETTINGS, create, "fake, of a test"), 5) == 1
    assert re.fullmatch(
        r"replica fake listening on 127\.0\.0\.1:[1-9]\d* \(fake, of a test\)\n", capsys.readouterr().out
    )
    assert engine.is_closed


@pytest.mark.parametrize(("failure", "status"), [(ValueError("x: no"), None), (RuntimeError("no kernel"), 1)])
async def test_a_replica_whose_engine_cannot_be_made_exits_with_an_error(
    failure: Exception, status: int | None
) -> None:
    async def create() -> FakeEngine:
        raise failure

    if status is None:
        with pytest.raises(SettingsError, match=r"^engine: x: no$"):
            await run(SETTINGS, create, "")
    else:
        assert await run(SETTINGS, create, "") == status


async def test_an_engine_that_fails_its_warm_up_never_serves() -> None:
    engine = FakeEngine(failure=RuntimeError("no kernel"))
    async with running(is_open=False) as served:
        with pytest.raises(RuntimeError, match="no kernel"):
            await served.replica.open(engine)
        assert not served.replica.lifecycle.is_serving
    assert engine.is_closed
