"""A worker process: relays what agents and replicas say to each other. Composition root; started by control.

python -m gateway.worker --channel-fd N --descriptors-fd M
"""

import argparse
import asyncio
import functools
import gc
import logging
import random
import signal
import socket
import time
from collections.abc import Callable, Coroutine, Sequence

import uvloop

from gateway import logs
from gateway.channel.channel import open_worker_end
from gateway.channel.descriptors import DescriptorReceiver
from gateway.channel.messages import (
    AskMetrics,
    Configure,
    Counts,
    Down,
    Drain,
    FleetChanged,
    Metrics,
    Prepare,
    Prepared,
    PromptsRead,
    Reconfigure,
    TlsChanged,
    Up,
    WorkerReady,
)
from gateway.config import Settings
from gateway.dialects.table import MethodTable
from gateway.dispatch.admission import Admission, Parking
from gateway.dispatch.dispatch import Dispatcher, pushback
from gateway.dispatch.prefix_index.metrics import PrefixMetrics
from gateway.dispatch.prefix_index.news import NEWS_INTERVAL_S, News
from gateway.dispatch.prefix_index.prompts import PrefixIndex
from gateway.dispatch.routes import Routes
from gateway.errors import SettingsError
from gateway.fleet.fleet import Fleet
from gateway.fleet.leases import Ledger, LocalCounters
from gateway.http2.headers import Codec
from gateway.metrics import ProcessMetrics, Registry
from gateway.policies.chosen import choose, is_same_choice
from gateway.relay.agent_connection import AgentConnection
from gateway.relay.flusher import Flusher
from gateway.relay.handshakes import Handshakes
from gateway.relay.limits import replica_limits
from gateway.relay.metrics import RelayMetrics
from gateway.relay.pool import Pool
from gateway.relay.relay import Relay
from gateway.relay.replica_connection import Connector
from gateway.relay.sweeper import INTERVAL_S, Sweeper
from gateway.relay.tls_socket import TlsSocket
from gateway.rpc.plain import plain_text_answer
from gateway.tls.contexts import Contexts
from gateway.types import ReplicaState

_log = logging.getLogger(__name__)

_COUNTS_INTERVAL_S = 0.05
"""How often control is told of connections and streams, at most."""
_RETRY_AFTER_S = 1.0
"""Pushback where nothing better is known: about the time in which a restarted gateway or a probe sees a change."""

Spawn = Callable[[Coroutine[None, None, None]], object]


class Worker:
    """Everything that one worker owns, wired together. Made when control has sent its settings."""

    def __init__(self, configure: Configure, send: Callable[[Up], bool], spawn: Spawn) -> None:
        settings = configure.settings
        self._send = send
        self._spawn = spawn
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._rng = random.Random()
        self._registry = Registry()
        self._process_metrics = ProcessMetrics(self._registry, f"worker-{configure.worker_id}")
        self._counts_due = False
        self._fleet = Fleet(counters := LocalCounters())
        self._news = News(self._on_news)
        heard = self._news.add if settings.workers > 1 else _nobody_asks
        self._prefixes = PrefixIndex(configure.gateway_id.encode(), settings.prefix_index_blocks, heard)
        self._ledger = Ledger(self._fleet, counters)
        self._pushback = pushback(_RETRY_AFTER_S, self._rng)
        chosen = choose(settings, self._rng)
        self._dispatcher = Dispatcher(self._fleet, self._ledger, chosen.own, self._pushback)
        self._dispatcher.by_route = chosen.by_route
        self._admission = Admission(self._fleet, self._dispatcher, Parking(settings.parking_s), self._on_dirty)
        flusher = Flusher(self._loop.call_soon)
        codec = Codec()
        self._contexts = Contexts(configure.tls)
        self._connector = Connector(flusher, codec, replica_limits(settings.limits), self._contexts)
        self._metrics = RelayMetrics(self._registry)
        self._prefix_metrics = PrefixMetrics(self._registry)
        self._relay = Relay(
            limits=settings.limits,
            methods=MethodTable(settings.opaque_services, self._prefixes),
            routes=Routes(settings),
            admission=self._admission,
            metrics=self._metrics,
            handshakes=Handshakes(settings.limits.handshakes, self._registry, time.monotonic),
            flusher=flusher,
            codec=codec,
            clock=time.monotonic,
            call_later=self._loop.call_later,
            pushback=self._pushback,
            gateway_id=(b"x-gateway-id", configure.gateway_id.encode("ascii")),
            control=self._pool(configure.control_address, lambda is_usable: None),
            new_pool=self._replica_pool,
            on_counts=self._on_counts,
        )
        self._sweeper = Sweeper(self._relay)

    def sweep(self) -> None:
        """Now, and again every so often."""
        self._loop.call_later(INTERVAL_S, self.sweep)
        self._sweeper.sweep()

    def on_fleet(self, message: FleetChanged) -> None:
        change = self._fleet.apply(message.snapshot)
        self._prefixes.follow(change, self._fleet)
        self._relay.apply(change, self._is_ready)

    def _on_prepare(self, message: Prepare) -> None:
        """Try what `_reconfigure` will do."""
        error = ""
        try:
            choose(message.settings, self._rng)
            Routes(message.settings)
        except SettingsError as reason:
            error = str(reason)
        self._send(Prepared(message.id, error))

    def _reconfigure(self, settings: Settings) -> None:
        """Take these settings over, between two dispatches: requests that run and connections that are up stay."""
        if not is_same_choice(self._settings, settings):
            self._dispatcher.policy, self._dispatcher.by_route = choose(settings, self._rng)
        self._settings = settings
        self._admission.parking = Parking(settings.parking_s)
        self._relay.routes = Routes(settings)
        self._relay.methods = MethodTable(settings.opaque_services, self._prefixes)
        self._relay.limit(settings.limits)
        self._connector.limits = replica_limits(settings.limits)
        logging.getLogger().setLevel(settings.log_level.upper())
        # What waits may be served now, or by another policy at once.
        self._admission.mark_dirty()

    @property
    def grace_s(self) -> float:
        return self._settings.grace_s

    def on_accepted(self, accepted: socket.socket) -> None:
        self._spawn(self._adopt(accepted))

    def on_asked(self, message: AskMetrics | Prepare | Reconfigure | TlsChanged | PromptsRead) -> None:
        match message:
            case AskMetrics():
                self._on_metrics_asked(message)
            case Prepare():
                self._on_prepare(message)
            case Reconfigure():
                self._reconfigure(message.settings)
            case TlsChanged():
                self._contexts.use(message.tls)
            case PromptsRead():
                self._prefixes.read_elsewhere(message.reads)

    def _on_metrics_asked(self, message: AskMetrics) -> None:
        self._process_metrics.update()
        self._metrics.update(self._relay, self._ledger)
        self._prefix_metrics.update(self._prefixes, self._news)
        self._send(Metrics(message.id, self._registry.dump()))

    async def drain(self, grace_s: float) -> None:
        """Finish what runs, within the grace."""
        self._relay.drain()
        try:
            async with asyncio.timeout(grace_s):
                await self._relay.wait_idle()
        except TimeoutError:
            _log.warning(logs.line("grace_over", streams=self._relay.open_streams))
        self._relay.close()

    async def _adopt(self, accepted: socket.socket) -> None:
        agent = AgentConnection(self._relay)
        context = self._contexts.agents
        protocol = TlsSocket(agent, context, is_server=True, plain_answer=plain_text_answer) if context else agent
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, accepted)
        except OSError as error:
            _log.info(logs.line("agent_gone", error=error))
            accepted.close()

    def _is_ready(self, replica_id: str) -> bool:
        record = self._fleet.record(replica_id)
        return record is not None and record.state is ReplicaState.READY

    def _replica_pool(self, replica_id: str) -> Pool:
        record = self._fleet.record(replica_id)
        assert record is not None
        return self._pool(record.address, lambda is_usable: self._fleet.set_reachable(replica_id, is_usable))

    def _pool(self, address: str, on_usable: Callable[[bool], None]) -> Pool:
        return Pool(address, self._settings.connect, self._connector, self._spawn, self._rng, on_usable)

    def _on_news(self) -> None:
        self._loop.call_later(NEWS_INTERVAL_S, lambda: self._send(PromptsRead(self._news.take())))

    def _on_dirty(self) -> None:
        self._loop.call_soon(lambda: self._admission.run(time.monotonic()))

    def _on_counts(self) -> None:
        if not self._counts_due:
            self._counts_due = True
            self._loop.call_later(_COUNTS_INTERVAL_S, self._tell_counts)

    def _tell_counts(self) -> None:
        self._counts_due = False
        self._send(Counts(len(self._relay.agents), self._relay.open_streams))


def _nobody_asks(replica_id: str, incarnation: int, blocks: Sequence[bytes]) -> None:
    """The only worker has nobody to tell."""


async def serve(channel_end: socket.socket, descriptors: socket.socket, tasks: asyncio.TaskGroup) -> None:
    """Do what control says until it asks to drain, or is gone, and the last stream has ended."""
    inbox: asyncio.Queue[Down | None] = asyncio.Queue()
    hang_up = functools.partial(inbox.put_nowait, None)
    channel = await open_worker_end(channel_end, inbox.put_nowait, lambda error: hang_up())
    configure = await inbox.get()
    if not isinstance(configure, Configure):
        return
    logging.getLogger().setLevel(configure.settings.log_level.upper())
    worker = Worker(configure, channel.send, tasks.create_task)
    worker.sweep()
    receiver: DescriptorReceiver | None = None
    draining: asyncio.Task[None] | None = None
    while draining is None or not draining.done():
        match await inbox.get():
            case FleetChanged() as message:
                worker.on_fleet(message)
                if receiver is None:
                    receiver = DescriptorReceiver(descriptors, worker.on_accepted)
                    channel.send(WorkerReady())
            case AskMetrics() | Prepare() | Reconfigure() | TlsChanged() | PromptsRead() as message:
                worker.on_asked(message)
            case message:
                grace_s = message.grace_s if isinstance(message, Drain) else worker.grace_s
                if draining is None:
                    draining = tasks.create_task(worker.drain(grace_s))
                    draining.add_done_callback(lambda task: hang_up())
    if receiver is not None:
        receiver.close()
    channel.close()


async def _run(channel_fd: int, descriptors_fd: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        await serve(socket.socket(fileno=channel_fd), socket.socket(fileno=descriptors_fd), tasks)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway.worker")
    parser.add_argument("--channel-fd", type=int, required=True)
    parser.add_argument("--descriptors-fd", type=int, required=True)
    arguments = parser.parse_args()
    logs.configure("info")
    # A terminal's Ctrl-C and an init system's SIGTERM reach all processes; control decides what they mean for us.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    # What start-up has made lives for ever: collections need not look at it.
    gc.freeze()
    uvloop.run(_run(arguments.channel_fd, arguments.descriptors_fd))


if __name__ == "__main__":
    main()
