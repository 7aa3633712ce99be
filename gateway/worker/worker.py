"""What a worker consists of: its composition root."""

import asyncio
import logging
import random
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from ssl import SSLContext

from gateway import logs
from gateway.channel.descriptors import DescriptorReceiver
from gateway.channel.messages import (
    AskMetrics,
    AskWhy,
    Configure,
    FleetChanged,
    LoadsReported,
    Metrics,
    Order,
    Prepare,
    Prepared,
    PromptsRead,
    Reconfigure,
    TlsChanged,
    Up,
)
from gateway.channel.shared_memory import IS_ORDERED
from gateway.config import Settings
from gateway.dialects.table import MethodTable
from gateway.dispatch.admission import Admission, Parking
from gateway.dispatch.dispatch import Dispatcher, pushback
from gateway.dispatch.own_load import OwnLoad
from gateway.dispatch.prefix_index.metrics import PrefixMetrics
from gateway.dispatch.prefix_index.news import NEWS_INTERVAL_S, News
from gateway.dispatch.prefix_index.prompts import PrefixIndex
from gateway.dispatch.routes import Routes
from gateway.dispatch.shadow import Shadows
from gateway.errors import SettingsError
from gateway.fleet.fleet import Fleet
from gateway.fleet.leases import Ledger
from gateway.fleet.presence import BEAT_INTERVAL_S, Presence
from gateway.fleet.shared_counters import Cell, Rows, SharedCounters, SharedTally
from gateway.metrics import ProcessMetrics, Registry
from gateway.policies.chosen import choose, is_same_choice
from gateway.relay.agent_connection import AgentConnection
from gateway.relay.handshakes import Handshakes
from gateway.relay.memory import RequestMemory
from gateway.relay.metrics import RelayMetrics
from gateway.relay.pool import Pool, PoolWatcher
from gateway.relay.relay import Relay
from gateway.relay.replica_connection import Connector
from gateway.relay.replica_watch import ControlWatch, ReplicaWatch
from gateway.relay.socket_connection import Shared
from gateway.relay.sweeper import SWEEP_INTERVAL_S, Sweeper
from gateway.relay.tls_socket import TlsSocket
from gateway.relay.witness import Witness
from gateway.rpc.call import GATEWAY_ID
from gateway.rpc.plain import plain_text_answer
from gateway.tls.contexts import Contexts
from gateway.types import ReplicaState
from gateway.worker.why import why

_log = logging.getLogger(__name__)

_LOOK_INTERVAL_S = 0.01
"""While requests wait here: how often to look whether others have freed a place."""
_RETRY_AFTER_S = 1.0
"""Pushback where nothing better is known: about the time in which a restarted gateway or a probe sees a change."""

Spawn = Callable[[Coroutine[None, None, None]], object]


class Worker:
    """Everything that one worker owns, wired together. Made when control has sent its settings."""

    def __init__(self, configure: Configure, memory: memoryview, send: Callable[[Up], bool], spawn: Spawn) -> None:
        settings = configure.settings
        self._send, self._spawn = send, spawn
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._rng = random.Random()
        self._registry = Registry()
        self._process_metrics = ProcessMetrics(self._registry, f"worker-{configure.worker_id}")
        self._shadows = Shadows(self._registry)
        self._receiver: DescriptorReceiver | None = None
        worker_id, rows = configure.worker_id, Rows(memory, configure.workers)
        self._presence = Presence(rows, worker_id)
        counters = SharedCounters(rows, worker_id, is_ordered=IS_ORDERED)
        self._fleet = Fleet(counters)
        self._news = News(self._on_news)
        heard = self._news.add if configure.workers > 1 else _nobody_asks
        self._prefixes = PrefixIndex(configure.gateway_id.encode(), settings.prefix_index_blocks, heard)
        self._ledger = Ledger(self._fleet, counters)
        self._pushback = pushback(_RETRY_AFTER_S, self._rng)
        chosen = choose(settings, self._rng)
        self._dispatcher = Dispatcher(self._fleet, self._ledger, chosen.own, self._pushback, chosen.by_route)
        self._admission = Admission(
            self._fleet,
            self._dispatcher,
            Parking(settings.parking_s),
            self._on_dirty,
            self._on_waiting if configure.workers > 1 else lambda: None,
            SharedTally(rows, worker_id, Cell.PARKED_REQUESTS),
        )
        shared = Shared.made(self._loop.call_soon, time.monotonic)
        self._contexts = Contexts(configure.tls)
        self._connector = Connector(shared, settings.limits, self._contexts)
        self._metrics = RelayMetrics(self._registry)
        self._prefix_metrics = PrefixMetrics(self._registry)
        self._witness = Witness(send, self._loop.call_later, self._fleet, counters)
        self._relay = Relay(
            limits=settings.limits,
            methods=MethodTable(settings.opaque_services, self._prefixes),
            routes=Routes(settings),
            admission=self._admission,
            metrics=self._metrics,
            handshakes=Handshakes(settings.limits.handshakes, self._registry, time.monotonic),
            witness=self._witness,
            shared=shared,
            call_later=self._loop.call_later,
            pushback=self._pushback,
            gateway_id=(GATEWAY_ID, configure.gateway_id.encode("ascii")),
            own_load=OwnLoad(self._fleet, rows, worker_id, configure.gateway_id),
            control=self._pool(configure.control_address, ControlWatch()),
            new_pool=self._replica_pool,
            on_agent_gone=self._presence.connection_ended,
            memory=RequestMemory(
                settings.limits.buffered_bytes, SharedTally(rows, worker_id, Cell.REQUEST_BYTES), shared.turns.wait
            ),
            connections=settings.agent_connections,
            rng=self._rng,
        )
        self._watch(settings)
        self._sweeper = Sweeper(self._relay)

    @property
    def grace_s(self) -> float:
        return self._settings.grace_s

    def obey(self, message: Order) -> None:
        """Do at once what control says."""
        match message:
            case FleetChanged():
                self._on_fleet(message)
            case LoadsReported():
                self._on_loads(message)
            case AskMetrics() | AskWhy() | Prepare():
                self._send(self._answer(message))
            case Reconfigure():
                self._reconfigure(message.settings)
            case TlsChanged():
                self._contexts.use(message.tls)
            case PromptsRead():
                self._prefixes.read_elsewhere(message.reads)

    def start(self, descriptors: socket.socket) -> None:
        """Take agents' connections, and do what is done again and again."""
        self._receiver = DescriptorReceiver(descriptors, self._on_accepted, self._presence.connection_ended)
        self._sweep()
        self._beat()

    def close(self) -> None:
        """Take no more connections."""
        if self._receiver is not None:
            self._receiver.close()

    async def drain(self, grace_s: float) -> None:
        """Finish what runs, within the grace."""
        self._relay.drain()
        try:
            async with asyncio.timeout(grace_s):
                await self._relay.wait_idle()
        except TimeoutError:
            _log.warning(logs.line("grace_over", streams=self._relay.open_streams))
        self._relay.close()

    def _on_fleet(self, message: FleetChanged) -> None:
        change = self._fleet.apply(message.snapshot)
        self._prefixes.follow(change, self._fleet)
        self._relay.apply(change, self._is_ready)
        for replica_id in change.doubtful:
            self._relay.ask(replica_id)

    def _on_loads(self, message: LoadsReported) -> None:
        for replica_id, incarnation, load in message.loads:
            self._fleet.reported(replica_id, incarnation, load)

    def _answer(self, question: AskMetrics | AskWhy | Prepare) -> Up:
        match question:
            case AskMetrics():
                self._process_metrics.update()
                self._metrics.update(self._relay, self._ledger, self._fleet)
                self._prefix_metrics.update(self._prefixes, self._news)
                return Metrics(question.id, self._registry.dump())
            case AskWhy():
                return why(question, self._relay, self._dispatcher)
            case Prepare():
                return self._prepare(question)

    def _prepare(self, message: Prepare) -> Prepared:
        """Try what `_reconfigure` will do."""
        try:
            choose(message.settings, self._rng)
            Routes(message.settings)
        except SettingsError as reason:
            return Prepared(message.id, str(reason))
        return Prepared(message.id, "")

    def _reconfigure(self, settings: Settings) -> None:
        """Take these settings over, between two dispatches: requests that run and connections that are up stay."""
        if not is_same_choice(self._settings, settings):
            self._dispatcher.policy, self._dispatcher.by_route = choose(settings, self._rng)
        self._settings = settings
        self._admission.parking = Parking(settings.parking_s)
        self._relay.routes = Routes(settings)
        self._watch(settings)
        self._relay.methods = MethodTable(settings.opaque_services, self._prefixes)
        self._relay.limit(settings.limits)
        self._relay.connections = settings.agent_connections
        self._connector.limits = settings.limits
        logging.getLogger().setLevel(settings.log_level.upper())
        # What waits may be served now, or by another policy at once.
        self._admission.mark_dirty()

    def _watch(self, settings: Settings) -> None:
        self._fleet.panic_share = settings.health.panic_share
        self._relay.explain_to = frozenset(settings.explain_to)
        self._ledger.on_expected, self._dispatcher.shadows = self._shadows.first_token, self._shadows
        self._shadows.use(settings, self._rng)

    def _on_accepted(self, accepted: socket.socket, network: int) -> None:
        self._spawn(self._adopt(accepted, network))

    async def _adopt(self, accepted: socket.socket, network: int) -> None:
        agent = AgentConnection(self._relay, network)
        tls = self._contexts.agents
        protocol = agent.protocol if tls is None else self._secured(agent, tls)
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, accepted)
        except OSError as error:
            _log.info(logs.line("agent_gone", error=error))
            accepted.close()
            self._presence.connection_ended(network)

    def _secured(self, agent: AgentConnection, tls: SSLContext) -> asyncio.Protocol:
        empty_records = self._settings.limits.tls_empty_records
        return TlsSocket(agent, tls, is_server=True, empty_records=empty_records, plain_answer=plain_text_answer)

    def _is_ready(self, replica_id: str) -> bool:
        record = self._fleet.record(replica_id)
        return record is not None and record.state in (ReplicaState.READY, ReplicaState.PROBATION)

    def _replica_pool(self, replica_id: str) -> Pool:
        record = self._fleet.record(replica_id)
        assert record is not None
        return self._pool(record.address, ReplicaWatch(replica_id, self._fleet, self._metrics, time.monotonic))

    def _pool(self, address: str, watcher: PoolWatcher) -> Pool:
        return Pool(address, self._settings.connect, self._connector, self._spawn, self._rng, watcher)

    def _on_news(self) -> None:
        self._loop.call_later(NEWS_INTERVAL_S, lambda: self._send(PromptsRead(self._news.take())))

    def _on_dirty(self) -> None:
        self._loop.call_soon(lambda: self._admission.run(time.monotonic()))

    def _on_waiting(self) -> None:
        self._loop.call_later(_LOOK_INTERVAL_S, self._look_elsewhere)

    def _look_elsewhere(self) -> None:
        if len(self._admission):
            self._fleet.look_elsewhere(time.monotonic())
            self._on_waiting()

    def _sweep(self) -> None:
        self._sweeper.sweep()
        self._witness.tell_progress()
        self._loop.call_later(SWEEP_INTERVAL_S, self._sweep)

    def _beat(self) -> None:
        self._presence.beat(self._fleet.version)
        self._loop.call_later(BEAT_INTERVAL_S, self._beat)


def _nobody_asks(replica_id: str, incarnation: int, blocks: Sequence[int]) -> None:
    """The only worker has nobody to tell."""
