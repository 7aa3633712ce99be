"""The control process: composition root of `inference-gateway serve`."""

import asyncio
import contextlib
import functools
import logging
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import grpc.aio
from msgspec.structs import replace

from gateway import logs
from gateway.channel.messages import (
    Configure,
    Down,
    Drain,
    FleetChanged,
    LoadsReported,
    Outcomes,
    Progress,
    Reconfigure,
    TlsChanged,
)
from gateway.channel.shared_memory import IS_ORDERED, SharedMemory
from gateway.config import Settings, TlsSettings
from gateway.control.admin import Admin
from gateway.control.announcement import announcement
from gateway.control.cores import usable_cores
from gateway.control.discovery.discovery import Discovery
from gateway.control.door import Door
from gateway.control.explaining import explainer
from gateway.control.fleet_owner import Change, FleetOwner
from gateway.control.health import Health
from gateway.control.listener import Listener, bind
from gateway.control.load_service import load_handler
from gateway.control.metrics import ControlMetrics
from gateway.control.metrics_http import running_metrics
from gateway.control.models import models_handler
from gateway.control.options import SettingsSource
from gateway.control.peers import Peers
from gateway.control.prober import Prober
from gateway.control.publisher import Publisher
from gateway.control.reconfiguration import Reconfiguration
from gateway.control.reflection import FOR_AGENTS, FOR_OPERATORS, reflection_handlers
from gateway.control.replica_channels import ReplicaChannels
from gateway.control.services import running_server
from gateway.control.settings_watch import watch_settings
from gateway.control.signals import Signals
from gateway.control.slots import Slots
from gateway.control.sockets import admin_target, control_path
from gateway.control.supervisor import EXIT_MARGIN_S, Supervisor, WorkerFailed
from gateway.control.usable import check_usable
from gateway.control.worker_process import COMMAND, Launch
from gateway.control.workers import Workers
from gateway.dispatch.own_load import OwnLoad
from gateway.errors import SettingsError
from gateway.fleet.fleet import Fleet
from gateway.fleet.shared_counters import Rows, SharedCounters, size_bytes
from gateway.metrics import Family, merge
from gateway.tls.material import Material
from gateway.types import Snapshot

if TYPE_CHECKING:
    from gateway.control.certificate_watch import CertificateWatch

_log = logging.getLogger(__name__)

_SCRAPE_TIMEOUT_S = 2.0
"""For all workers' metrics; Prometheus waits 10 s by default."""
_PREPARE_TIMEOUT_S = 5.0
"""For all workers to say whether they could use other settings."""
_TICK_S = 0.25
"""How exact the ends of ejections are, and how smooth slow starts."""
_SERVICES_GRACE_S = 1.0
"""For health watchers and the like while draining: they have been told by then."""


def serve(arguments: Sequence[str]) -> int:
    """Run a gateway until it is asked to stop. Return the exit code: 0, 1 for a failure, 2 for settings that cannot be
    used, 128 and the number of the signal that came second."""
    try:
        source = SettingsSource(arguments)
        settings = source.read()
        check_usable(settings)
        logs.configure(settings.log_level)
        return asyncio.run(run(settings, source=source))
    except SettingsError as error:
        print(f"inference-gateway serve: {error}", file=sys.stderr)
        return 2


async def run(settings: Settings, worker_command: Sequence[str] = COMMAND, source: SettingsSource | None = None) -> int:
    """As `serve`. Raises SettingsError where an address cannot be had. Without a source the settings stay."""
    code = 0
    with Signals() as signals:
        try:
            try:
                await Control(settings, worker_command, source).run(signals.stopping, signals.reloading)
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

    def __init__(self, settings: Settings, worker_command: Sequence[str], source: SettingsSource | None = None) -> None:
        self._source = source
        self._gateway_id = uuid.uuid4().hex
        self._control_address = str(control_path(self._gateway_id, time.time()))
        self._available = asyncio.Event()
        self._health = Health()
        self._publisher = Publisher(self._publish, asyncio.get_running_loop().call_later)
        self._owner = FleetOwner(self._publisher.changed, time.monotonic, settings.health)
        self._metrics = ControlMetrics(self._owner)
        sockets = bind(settings.listen)
        self._worker_count = settings.workers if isinstance(settings.workers, int) else usable_cores()
        self._memory = SharedMemory.made(size_bytes(self._worker_count))
        launch = Launch(worker_command, self._memory.fd)
        rows = Rows(self._memory.view, self._worker_count)
        peers = Peers(rows)
        self._workers = Workers(self._greeting, self._on_available, rows, peers)
        door = Door(lambda: self._settings.limits, peers, self._workers.hand_over, self._metrics, time.monotonic)
        self._listener = Listener(sockets, door.on_accepted, settings.limits.vanished_timeout_s)
        self._certificates = self._watch_certificates(settings.tls)
        self._slots = Slots(rows, lambda: self._workers.fleet_version)
        # As workers see it; followed while a gateway in front asks.
        fleet = Fleet(SharedCounters(rows, self._worker_count, is_ordered=IS_ORDERED))
        self._own_load = OwnLoad(fleet, rows, self._worker_count, self._gateway_id)
        self._supervisors = [
            Supervisor(worker_id, launch, settings, self._workers, self._on_seen, self._metrics.restarts)
            for worker_id in range(self._worker_count)
        ]
        read = source.read if source is not None else lambda: settings
        prepare = functools.partial(self._workers.prepare, timeout_s=_PREPARE_TIMEOUT_S)
        self._reconfiguration = Reconfiguration(settings, read, prepare, self._apply, self._metrics.registry)
        self._discovery = Discovery(settings, time.monotonic)
        keepalive = settings.probe.keepalive_interval_s, settings.probe.keepalive_timeout_s
        connect = replace(settings.connect, keepalive_interval_s=keepalive[0], keepalive_timeout_s=keepalive[1])
        channels = ReplicaChannels(connect, lambda: self._material.replicas)
        self._prober = Prober(self._owner, self._gateway_id, channels, settings.probe, time.monotonic)

    @property
    def _settings(self) -> Settings:
        return self._reconfiguration.settings

    async def run(self, stopping: asyncio.Event, reloading: asyncio.Event | None = None) -> None:
        """Return when all has ended that `stopping` asked to end. Raises SettingsError, or a group of WorkerFailed."""
        try:
            async with self._services() as services, asyncio.TaskGroup() as tasks:
                supervising = [tasks.create_task(supervisor.run()) for supervisor in self._supervisors]
                following = [
                    tasks.create_task(self._prober.run(self._discovery.found())),
                    tasks.create_task(self._discovery.run()),
                    tasks.create_task(self._reload_at(reloading or asyncio.Event())),
                    tasks.create_task(self._tick()),
                ]
                if self._certificates is not None:
                    following.append(tasks.create_task(self._certificates.run()))
                if self._source is not None and self._source.file is not None:
                    reload = functools.partial(self._reconfiguration.reload, "the file has changed")
                    following.append(tasks.create_task(watch_settings(self._source.file, reload)))
                await self._available.wait()
                print(announcement(self._listener.address, self._settings), flush=True)
                await stopping.wait()
                await self._drain(services, supervising)
                for task in following:
                    task.cancel()
        finally:
            self._listener.close()
            self._memory.close()

    @asynccontextmanager
    async def _services(self) -> AsyncGenerator[grpc.aio.Server, None]:
        """Yield the server behind the workers, with those for operators and scrapers beside it."""
        async with AsyncExitStack() as stack:
            if self._settings.metrics_listen != "none":
                metrics = running_metrics(self._settings.metrics_listen, self._families, self._health)
                address = await stack.enter_async_context(metrics)
                _log.info(logs.line("metrics_listening", address=address))
            target = admin_target(self._settings.admin_listen, self._listener.port)
            admin = Admin(self._owner, self._worker_families, self._reconfiguration, time.monotonic)
            handlers = admin.handler(), explainer(self._workers.explain), *reflection_handlers(FOR_OPERATORS)
            await stack.enter_async_context(running_server(target, handlers))
            _log.info(logs.line("admin_listening", address=target.removeprefix("unix:")))
            handlers = (
                self._health.handler(),
                models_handler(lambda: self._owner.replicas),
                load_handler(self._own_load, self._snapshot, time.monotonic),
                *reflection_handlers(FOR_AGENTS),
            )
            yield await stack.enter_async_context(running_server(f"unix:{self._control_address}", handlers))

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
        configure = Configure(
            worker_id, self._worker_count, self._gateway_id, self._control_address, self._settings, self._material
        )
        return configure, FleetChanged(self._snapshot())

    def _snapshot(self) -> Snapshot:
        return self._slots.assign(self._owner.snapshot())

    async def _reload_at(self, reloading: asyncio.Event) -> None:
        """Never returns."""
        while True:
            await reloading.wait()
            reloading.clear()
            with contextlib.suppress(SettingsError):  # said and counted; the settings in use stay
                await self._reconfiguration.reload("SIGHUP")

    def _apply(self, old: Settings, new: Settings) -> None:
        """Workers first. One that starts meanwhile is greeted with the new settings."""
        self._workers.tell(Reconfigure(new))
        if (old.replicas, old.discovery) != (new.replicas, new.discovery):
            self._discovery.follow(new)
        self._owner.judge_by(new.health)
        self._listener.give_up_after(new.limits.vanished_timeout_s)
        for supervisor in self._supervisors:
            supervisor.settings = new
        logging.getLogger().setLevel(new.log_level.upper())

    def _on_available(self, is_available: bool) -> None:
        if is_available:
            self._available.set()
            self._listener.start()
        else:
            self._listener.pause()

    def _watch_certificates(self, settings: TlsSettings) -> "CertificateWatch | None":
        """Return None for plain text. Raises SettingsError."""
        if not (settings.agents.cert or settings.replicas.ca):
            return None
        from gateway.control.certificate_watch import CertificateWatch  # noqa: PLC0415 - it takes 9 MB of memory

        registry, tell = self._metrics.registry, self._workers.tell
        return CertificateWatch(settings, registry, lambda material: tell(TlsChanged(material)), time.time)

    @property
    def _material(self) -> Material:
        return self._certificates.material if self._certificates is not None else Material()

    def _publish(self, change: Change) -> None:
        """Workers first: who is told that a replica is ready must find it so."""
        loads = self._owner.take_loads()
        if change is Change.LOAD:
            self._workers.tell(LoadsReported(loads))
            return
        self._workers.tell(FleetChanged(self._snapshot()))
        self._health.set_ready(self._owner.has_ready())

    def _on_seen(self, seen: Outcomes | Progress) -> None:
        match seen:
            case Outcomes():
                for outcome in seen.outcomes:
                    self._metrics.heard(outcome)
                    self._owner.ended(outcome)
            case Progress():
                for awaited in seen.awaited:
                    self._owner.awaited(awaited)

    async def _tick(self) -> None:
        """Let time pass for the fleet, for ever."""
        while True:
            await asyncio.sleep(_TICK_S)
            self._owner.tick()

    async def _worker_families(self) -> Sequence[Family]:
        return await self._workers.families(_SCRAPE_TIMEOUT_S)

    async def _families(self) -> Sequence[Family]:
        return merge([self._metrics.families(), self._discovery.families(), await self._worker_families()])
