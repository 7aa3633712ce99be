"""The control process: composition root of `inference-gateway serve`."""

import asyncio
import logging
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from socket import socket

import grpc.aio
from grpc_health.v1 import health_pb2

from gateway import logs
from gateway.channel.messages import Configure, Down, Drain, FleetChanged
from gateway.config import Settings
from gateway.control.admin import Admin
from gateway.control.discovery.static import static
from gateway.control.fleet_owner import FleetOwner
from gateway.control.health import Health
from gateway.control.listener import Listener, bind
from gateway.control.metrics import ControlMetrics
from gateway.control.metrics_http import running_metrics
from gateway.control.models import models_handler
from gateway.control.options import parse_settings
from gateway.control.prober import Prober
from gateway.control.publisher import Publisher
from gateway.control.reflection import reflection_handlers
from gateway.control.services import running_server
from gateway.control.signals import Signals
from gateway.control.sockets import admin_target, control_path
from gateway.control.supervisor import EXIT_MARGIN_S, Supervisor, WorkerFailed
from gateway.control.worker_process import COMMAND
from gateway.control.workers import Workers
from gateway.errors import SettingsError
from gateway.metrics import Family, merge
from gateway.policies import build
from inference.v1 import admin_pb2, inference_pb2

_log = logging.getLogger(__name__)

_SCRAPE_TIMEOUT_S = 2.0
"""For all workers' metrics; Prometheus waits 10 s by default."""
_SERVICES_GRACE_S = 1.0
"""For health watchers and the like while draining: they have been told by then."""


def serve(arguments: Sequence[str]) -> int:
    """Run a gateway until it is asked to stop. Return the exit code: 0, 1 for a failure, 2 for settings that cannot be
    used, 128 and the number of the signal that came second."""
    try:
        settings = parse_settings(arguments)
        build(settings.policy, Random(0))
        logs.configure(settings.log_level)
        return asyncio.run(run(settings))
    except SettingsError as error:
        print(f"inference-gateway serve: {error}", file=sys.stderr)
        return 2


async def run(settings: Settings, worker_command: Sequence[str] = COMMAND) -> int:
    """As `serve`. Raises SettingsError where an address cannot be had."""
    code = 0
    with Signals() as signals:
        try:
            try:
                await Control(settings, worker_command).run(signals.stopping)
            except* WorkerFailed as failed:
                _log.critical(logs.line("gave_up", reason=failed.exceptions[0]))
                code = 1
        except asyncio.CancelledError:
            if signals.second is None:
                raise
            code = 128 + signals.second
    return code


class Control:
    """All that lives as long as the process."""

    def __init__(self, settings: Settings, worker_command: Sequence[str]) -> None:
        self._settings = settings
        self._gateway_id = uuid.uuid4().hex
        self._control_address = str(control_path(self._gateway_id, time.time()))
        self._listener = Listener(bind(settings.listen), self._on_accepted)
        self._available = asyncio.Event()
        self._health = Health()
        self._publisher = Publisher(self._publish, asyncio.get_running_loop().call_later)
        self._owner = FleetOwner(self._publisher.changed)
        self._metrics = ControlMetrics(self._owner)
        self._workers = Workers(self._greeting, self._on_available)
        self._supervisors = [
            Supervisor(worker_id, worker_command, settings, self._workers, self._metrics.heard, self._metrics.restarts)
            for worker_id in range(settings.workers)
        ]
        self._prober = Prober(self._owner, self._gateway_id, settings.connect, settings.probe, time.monotonic)

    async def run(self, stopping: asyncio.Event) -> None:
        """Return when all has ended that `stopping` asked to end. Raises SettingsError, or a group of WorkerFailed."""
        try:
            async with self._services() as services, asyncio.TaskGroup() as tasks:
                supervising = [tasks.create_task(supervisor.run()) for supervisor in self._supervisors]
                probing = tasks.create_task(self._prober.run(static(self._settings.replicas)))
                await self._available.wait()
                self._announce()
                await stopping.wait()
                await self._drain(services, supervising)
                probing.cancel()
        finally:
            self._listener.close()

    @asynccontextmanager
    async def _services(self) -> AsyncGenerator[grpc.aio.Server, None]:
        """Yield the server behind the workers, with those for operators and scrapers beside it."""
        async with AsyncExitStack() as stack:
            if self._settings.metrics_listen != "none":
                metrics = running_metrics(self._settings.metrics_listen, self._families, self._health)
                address = await stack.enter_async_context(metrics)
                _log.info(logs.line("metrics_listening", address=address))
            target = admin_target(self._settings.admin_listen, self._listener.port)
            admin = Admin(self._owner, self._worker_families, time.monotonic)
            handlers = (admin.handler(), *reflection_handlers([admin_pb2.DESCRIPTOR]))
            await stack.enter_async_context(running_server(target, handlers))
            _log.info(logs.line("admin_listening", address=target.removeprefix("unix:")))
            handlers = (
                self._health.handler(),
                models_handler(lambda: self._owner.replicas),
                *reflection_handlers([inference_pb2.DESCRIPTOR, health_pb2.DESCRIPTOR]),
            )
            yield await stack.enter_async_context(running_server(f"unix:{self._control_address}", handlers))

    def _announce(self) -> None:
        count = len(self._settings.replicas)
        replicas = "1 replica" if count == 1 else f"{count} replicas"
        address, policy = self._listener.address, self._settings.policy
        print(f"gateway listening on {address} ({replicas}, policy {policy})", flush=True)

    async def _drain(self, services: grpc.aio.Server, supervising: Sequence[asyncio.Task[None]]) -> None:
        settings = self._settings
        _log.info(logs.line("draining", grace_s=settings.grace_s))
        self._health.drain()
        await asyncio.sleep(settings.drain_pause_s)
        self._listener.close()
        for supervisor in self._supervisors:
            supervisor.drain()
        self._workers.tell(Drain(settings.grace_s))
        await services.stop(_SERVICES_GRACE_S)
        _, late = await asyncio.wait(supervising, timeout=settings.grace_s + EXIT_MARGIN_S)
        if late:
            self._workers.kill("did not end in time")
            await asyncio.wait(late)

    # What the parts tell each other.

    def _greeting(self, worker_id: int) -> tuple[Down, ...]:
        configure = Configure(worker_id, self._gateway_id, self._control_address, self._settings)
        return configure, FleetChanged(self._owner.snapshot())

    def _on_available(self, is_available: bool) -> None:
        if is_available:
            self._available.set()
            self._listener.start()
        else:
            self._listener.pause()

    def _on_accepted(self, accepted: socket) -> None:
        took = self._workers.hand_over(accepted)
        (self._metrics.accepted if took else self._metrics.refused).add()

    def _publish(self) -> None:
        """Workers first: who is told that a replica is ready must find it so."""
        self._workers.tell(FleetChanged(self._owner.snapshot()))
        self._health.set_ready(self._owner.has_ready())

    async def _worker_families(self) -> Sequence[Family]:
        return await self._workers.families(_SCRAPE_TIMEOUT_S)

    async def _families(self) -> Sequence[Family]:
        return merge([self._metrics.families(), await self._worker_families()])
