"""Composition root of a replica: builds everything, and takes it through its life."""

import asyncio
import logging
import os
import random
import signal
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from importlib.metadata import version

import pynvml

from serving.call import Calls
from serving.config import NO_LISTENER, Settings, SettingsError
from serving.engine import Engine, EngineDead, EngineLoad, Generation, Sampling
from serving.gpu import Gpus, facts_of
from serving.health import Health
from serving.http import Endpoints, listening
from serving.lifecycle import Event, Lifecycle, Phase
from serving.load import BOOT_IDS, Load
from serving.load_stream import LoadStream
from serving.metrics import Metrics
from serving.server import HEALTH_SERVICES, listen, new_server
from serving.service import InferenceService
from serving.signals import Signals

WATCH_INTERVAL_S = 1.0
"""Between two looks at an engine that nobody asks anything."""

FLUSH_S = 1.0
"""For the last trailers, when all streams have ended; for streams to learn that their engine is gone."""

ENGINE_CLOSE_S = 10.0

_log = logging.getLogger(__name__)


class Replica:
    """One engine behind a port. It serves when it has been given an engine that answers."""

    def __init__(self, settings: Settings, clock: Callable[[], float], rng: random.Random) -> None:
        self.port = 0
        self.metrics_port = 0
        self.lifecycle = Lifecycle(settings.retry_after_s)
        self.load = Load(self._measure, rng.randrange(1, BOOT_IDS), clock)
        self._settings = settings
        self._clock = clock
        build = {"version": version("inference-gateway"), "engine": settings.engine, "model": settings.model}
        self._metrics = Metrics(build, lambda: self.load.state(""))
        calls = Calls(self.lifecycle, self.load, self._metrics, settings.retry_after_s, clock)
        self._tokenizing = ThreadPoolExecutor(1, "tokenizing")
        self._gpus = Gpus(pynvml, os.environ)
        self._service = InferenceService(calls, self._tokenizing)
        health = Health(self.lifecycle, HEALTH_SERVICES)
        floor_s, heartbeat_s = settings.load_report_floor_s, settings.load_report_heartbeat_s
        load_stream = LoadStream(self.load, self.lifecycle, floor_s, heartbeat_s, clock)
        self._server = new_server(settings, self._service, health, load_stream)

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator["Replica", None]:
        """Listen, not serving yet; stop at the end, and close the engine. Raises SettingsError."""
        async with AsyncExitStack() as stack:
            stack.callback(self._tokenizing.shutdown, wait=False, cancel_futures=True)
            stack.callback(self._gpus.close)
            if self._settings.metrics_listen != NO_LISTENER:
                endpoints = Endpoints(self.lifecycle, self._metrics, self._gpus).application()
                self.metrics_port = await stack.enter_async_context(listening(endpoints, self._settings.metrics_listen))
            stack.push_async_callback(self.stop)
            self.port = listen(self._server, self._settings)
            await self._server.start()
            yield self

    async def open(self, engine: Engine) -> None:
        """Serve, once the engine has answered a warm-up."""
        self._service.engine = engine
        prompt = engine.tokenizer.encode("Hello")
        warm_up = Generation("warm-up", prompt, Sampling(max_tokens=2, temperature=0.0, ignore_eos=True))
        async with aclosing(engine.generate(warm_up)) as deltas:
            async for _ in deltas:
                pass
        self.lifecycle.apply(Event.WARMED_UP)

    async def watch(self) -> None:
        """Raise EngineDead when the engine is."""
        while self.lifecycle.phase is not Phase.DEAD:
            try:
                self._measure()
            except EngineDead:
                self.lifecycle.apply(Event.ENGINE_DIED)
            else:
                self.load.gpus = facts_of(await asyncio.to_thread(self._gpus.read))
                await self.lifecycle.changes.wait(WATCH_INTERVAL_S)
        raise EngineDead("the engine is gone")

    async def drain(self) -> None:
        """Say that it leaves, then refuse, then wait for what runs, all within the grace."""
        self.lifecycle.apply(Event.ASKED_TO_STOP)
        grace_s = self._settings.grace_s if self.lifecycle.phase is not Phase.DEAD else FLUSH_S
        ends_at = self._clock() + grace_s
        if self.lifecycle.phase is Phase.LEAVING:
            await asyncio.sleep(min(self._settings.drain_pause_s, grace_s))
            self.lifecycle.apply(Event.PAUSE_OVER)
        while self.load.in_flight and (left_s := ends_at - self._clock()) > 0:
            await self.load.changes.wait(left_s)

    async def stop(self) -> None:
        """Cut off what still runs, and close the engine. A second call does nothing."""
        if self.lifecycle.is_closed:
            return
        if self.load.in_flight:
            _log.warning("%d requests are cut off", self.load.in_flight)
        # Those who watch would use up all of the server's grace.
        self.lifecycle.apply(Event.FINISHED)
        self.load.changes.notify()
        await self._server.stop(None if self.load.in_flight else FLUSH_S)
        if self._service.engine is not None:
            try:
                async with asyncio.timeout(ENGINE_CLOSE_S):
                    await self._service.engine.close()
            except TimeoutError:
                _log.error("event=engine_not_closed after_s=%g", ENGINE_CLOSE_S)

    def _measure(self) -> EngineLoad:
        engine = self._service.engine
        return EngineLoad(0, 0, 0.0, 0) if engine is None else engine.load()


CreateEngine = Callable[[], Awaitable[Engine]]
"""Raises ValueError and RuntimeError as `config.EngineEntry.create` says."""


async def run(settings: Settings, create: CreateEngine, what: str) -> int:
    """Return the exit status, after a signal or when the engine is gone; `what` describes the engine. Raises
    SettingsError."""
    status = 0
    replica = Replica(settings, time.monotonic, random.Random())
    with Signals.of(asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)) as signals:
        async with replica.listening():
            try:
                async with signals.interruption():
                    await replica.open(await _created(create))
                    _announce(settings, replica, what)
                    await replica.watch()
            except EngineDead as error:
                _log.error("event=engine_gone reason=%s", error)
                status = 1
            async with signals.interruption():
                await replica.drain()
        return status or signals.status


async def _created(create: CreateEngine) -> Engine:
    try:
        return await create()
    except ValueError as error:
        raise SettingsError(f"engine: {error}") from error
    except RuntimeError as error:
        raise EngineDead(f"it does not start: {error}") from error


def _announce(settings: Settings, replica: Replica, what: str) -> None:
    """Print the one line that programs read."""
    if replica.metrics_port:
        _log.info("event=metrics_listening address=%s", _address(settings.metrics_listen, replica.metrics_port))
    address = _address(settings.listen, replica.port)
    sys.stdout.write(f"replica {settings.model} listening on {address} ({what})\n")
    sys.stdout.flush()


def _address(listen: str, port: int) -> str:
    """Return where one really listens: what was asked for may say port 0."""
    return f"{listen.rpartition(':')[0]}:{port}"
