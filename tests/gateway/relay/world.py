"""A relay whose sockets are memory: agents and replicas speak real HTTP/2 to it, time stands still until told."""

import asyncio
import random
import zlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from gateway.channel.messages import Outcomes, Progress
from gateway.config import AgentConnectionSettings, ConnectSettings, LimitSettings, Settings
from gateway.dialects.table import MethodTable
from gateway.dispatch.admission import Admission, Parking
from gateway.dispatch.dispatch import Dispatcher
from gateway.dispatch.own_load import OwnLoad
from gateway.dispatch.routes import Routes
from gateway.errors import Limit
from gateway.fleet.fleet import Fleet
from gateway.fleet.leases import Ledger, LocalCounters
from gateway.http2.codec import Codec
from gateway.http2.connection import Connection
from gateway.http2.frames import ErrorCode
from gateway.http2.headers import Field, Fields
from gateway.http2.limits import Limits
from gateway.http2.streams import Stream
from gateway.metrics import Registry
from gateway.policies import build
from gateway.policies.base import Policy
from gateway.relay.agent_connection import AgentConnection
from gateway.relay.handshakes import Handshakes
from gateway.relay.limits import replica_limits
from gateway.relay.memory import RequestMemory
from gateway.relay.metrics import RelayMetrics
from gateway.relay.pool import Pool, PoolWatcher
from gateway.relay.relay import Relay
from gateway.relay.replica_connection import ConnectionWatcher, ReplicaConnection
from gateway.relay.replica_watch import ControlWatch, ReplicaWatch
from gateway.relay.socket_connection import Shared, SocketConnection
from gateway.relay.witness import Witness
from gateway.rpc.framing import prefixed
from gateway.types import ReplicaRecord, ReplicaState, Snapshot
from inference.v1 import inference_pb2 as pb
from tests.gateway.fleets import shared_rows

GENERATE = b"/inference.v1.Inference/Generate"
OPAQUE = b"/test.Opaque/Talk"


class Wire(asyncio.Transport):
    """The relay's end of one socket, whose other end is a peer of the test."""

    def __init__(self, connection: SocketConnection, peer: "Peer") -> None:
        super().__init__()
        self.connection = connection
        self.peer = peer
        self.inbox: list[bytes] = []
        self.is_cut = False
        peer.wire = self

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.inbox.append(bytes(data))

    def close(self) -> None:
        self.is_cut = True

    def abort(self) -> None:
        self.inbox.clear()
        self.is_cut = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def is_closing(self) -> bool:
        return self.is_cut

    def pump(self) -> bool:
        """Carry what there is, both ways. Return whether there was anything."""
        inbox, self.inbox = self.inbox, []
        if inbox and not self.peer.is_dead:
            self.peer.http2.receive(b"".join(inbox))
        outbox = b"".join(self.peer.http2.take_output())
        self.peer.http2.go_on()
        if outbox and not self.connection.is_closed:
            self.connection.data_received(outbox)
        if self.is_cut and not self.connection.is_closed:
            self.peer.http2.receive(b"".join(self.inbox))
            self.connection.connection_lost(None)
            self.peer.is_dead = True
            return True
        return bool(inbox or outbox)


@dataclass
class Recorded:
    """What one side has seen of a stream (http2.streams.StreamReceiver)."""

    peer: "Peer"
    stream: Stream | None = None
    header_lists: list[Fields] = field(default_factory=list[Fields])
    data: bytes = b""
    sent: bytes = b""
    is_ended: bool = False
    reset: int | None = None
    credits: bool = True

    def on_headers(self, fields: Fields, is_end: bool) -> None:
        self.header_lists.append(fields)
        self.is_ended |= is_end

    def on_data(self, data: bytes, start: int, end: int) -> None:
        self._take(data[start + 9 : end])

    def on_last_data(self, payload: bytes) -> None:
        self._take(payload)
        self.is_ended = True

    def on_reset(self, code: int) -> None:
        self.reset = code

    def on_sent(self, size: int) -> None: ...

    def on_connection_lost(self) -> None: ...

    @property
    def trailers(self) -> dict[bytes, bytes]:
        assert self.is_ended, self
        return dict(self.header_lists[-1])

    @property
    def status(self) -> int:
        return int(self.trailers[b"grpc-status"])

    @property
    def is_over(self) -> bool:
        return self.is_ended or self.reset is not None

    def headers(self, *fields: Field) -> None:
        fields = fields or ((b":status", b"200"), (b"content-type", b"application/grpc"))
        self._http2.send_headers(self._stream, fields)

    def send(self, payload: bytes, *, is_end: bool = False) -> None:
        self.sent += payload
        self._http2.send_data(self._stream, payload, is_end=is_end)

    def end(self, *fields: Field) -> None:
        self._http2.send_headers(self._stream, fields or ((b"grpc-status", b"0"),), is_end=True)

    def cancel(self, code: ErrorCode = ErrorCode.CANCEL) -> None:
        self._http2.reset(self._stream, code)

    @property
    def _http2(self) -> Connection:
        return self.peer.http2

    @property
    def _stream(self) -> Stream:
        assert self.stream is not None
        return self.stream

    def _take(self, payload: bytes) -> None:
        self.data += payload
        if self.credits and self.stream is not None:
            self._http2.credit(self.stream, len(payload))


class Peer:
    """An agent or a replica."""

    wire: Wire

    def __init__(self, *, is_server: bool, limits: Limits) -> None:
        self.requests: list[Recorded] = []
        self.is_dead = False
        self.goaway: int | None = None
        self.http2 = Connection(self, is_server=is_server, limits=limits, codec=Codec(), clock=lambda: 0.0)

    def call(self, path: bytes = GENERATE, body: bytes | None = None, *fields: Field, is_end: bool = True) -> Recorded:
        """Begin a request; `body` is DATA as it is."""
        body = prefixed(pb.GenerateRequest(text="hello", model="m").SerializeToString()) if body is None else body
        recorded = Recorded(self)
        recorded.stream = self.http2.open_stream([*request_fields(path), *fields], recorded)
        if body or is_end:
            recorded.send(body, is_end=is_end)
        return recorded

    def hang_up(self) -> None:
        """The process is gone."""
        self.is_dead = True
        self.wire.connection.connection_lost(None)

    def on_output(self) -> None: ...

    def on_request(self, stream: Stream, fields: Fields, is_end: bool) -> None:
        recorded = Recorded(self, stream, [fields], is_ended=is_end)
        stream.receiver = recorded
        self.requests.append(recorded)

    def on_peer_ready(self) -> None: ...

    def on_goaway(self, code: int, debug: bytes) -> None:
        self.goaway = code

    def on_ping_ack(self, payload: bytes) -> None: ...

    def on_limit(self, limit: Limit) -> None: ...


def request_fields(path: bytes) -> list[Field]:
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"gateway"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    ]


@dataclass(eq=False)
class FakeTimer:
    at: float
    callback: Callable[[], None]
    is_cancelled: bool = False

    def cancel(self) -> None:
        self.is_cancelled = True


class World:
    """Replicas are named r0, r1, ...; all are ready and serve the model m, unless `apply` says otherwise."""

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        replicas: int = 2,
        limits: LimitSettings | None = None,
        parking_s: float = 0.0,
        replica_limits: Limits | None = None,
        settings: Settings | None = None,
        policy: Policy | None = None,
        connections: AgentConnectionSettings | None = None,
    ) -> None:
        self._tasks = tasks
        self.now_s = 1_000.0
        self.timers: list[FakeTimer] = []
        self.wires: list[Wire] = []
        self.replicas: dict[str, list[Peer]] = {}
        self.refusing: set[str] = set()
        self.replica_limits = replica_limits or Limits()
        loop = asyncio.get_running_loop()
        self.registry = Registry()
        self._shared = Shared.made(loop.call_soon, lambda: self.now_s)
        self.fleet = Fleet(counters := LocalCounters())
        self.ledger = Ledger(self.fleet, counters)
        policy = policy or build("round_robin", random.Random(1))
        self.dispatcher = Dispatcher(self.fleet, self.ledger, policy, lambda: 1.0)
        self.admission = Admission(
            self.fleet, self.dispatcher, Parking(parking_s), lambda: loop.call_soon(self._run_admission) and None
        )
        self.agents_gone: list[int] = []
        """The numbers that their connections had."""
        self.told: list[Outcomes | Progress] = []
        # What it has to tell is told at once: timers are the exchanges'.
        self.witness = Witness(
            self.told.append, lambda delay_s, callback: loop.call_soon(callback), self.fleet, counters
        )
        self.relay = Relay(
            limits=limits or LimitSettings(),
            methods=MethodTable(["test.Opaque"]),
            routes=Routes(settings or Settings()),
            admission=self.admission,
            metrics=RelayMetrics(self.registry),
            handshakes=Handshakes((limits or LimitSettings()).handshakes, self.registry, lambda: self.now_s),
            witness=self.witness,
            shared=self._shared,
            call_later=self._call_later,
            pushback=lambda: 1.0,
            gateway_id=(b"x-gateway-id", b"g1"),
            own_load=OwnLoad(self.fleet, shared_rows(1), 0, "0123456789abcdef"),
            control=self._pool("control", ControlWatch()),
            new_pool=self._replica_pool,
            on_agent_gone=self.agents_gone.append,
            memory=RequestMemory(0),
            connections=connections or AgentConnectionSettings(),
            rng=random.Random(0),
        )
        self._version = 0
        self.names = [f"r{i}" for i in range(replicas)]
        self.apply()

    def apply(self, *changes: ReplicaRecord) -> None:
        """Give the fleet a new snapshot."""
        rows = {name: record(name) for name in self.names} | {row.id: row for row in changes}
        self._version += 1
        snapshot = Snapshot(self._version, tuple(rows.values()))
        self.relay.apply(self.fleet.apply(snapshot), lambda replica_id: replica_id not in self.refusing)

    def agent(self, limits: Limits | None = None) -> Peer:
        peer = Peer(is_server=False, limits=limits or Limits())
        connection = AgentConnection(self.relay, network=1)
        self._wire(connection, peer)
        return peer

    def requests(self, name: str) -> list[Recorded]:
        """All requests that a replica has seen, over its connections."""
        return [request for peer in self.replicas.get(name, []) for request in peer.requests]

    def all_requests(self) -> list[Recorded]:
        """What the fleet has seen."""
        return [request for name in self.names for request in self.requests(name)]

    def limits_met(self) -> dict[str, float]:
        """inference_gateway_limits_hit_total, by limit."""
        families = {family.name: family for family in self.registry.dump()}
        hit = families.get("inference_gateway_limits_hit_total")
        return {sample.labels[0]: sample.values[0] for sample in hit.samples} if hit else {}

    async def settle(self) -> None:
        """Let everything happen that happens without time passing."""
        quiet = 0
        while quiet < 5:
            await asyncio.sleep(0)
            is_busy = sum(wire.pump() for wire in self.wires) > 0
            self.wires = [wire for wire in self.wires if not wire.connection.is_closed]
            quiet = 0 if is_busy else quiet + 1

    async def advance(self, seconds: float) -> None:
        self.now_s += seconds
        due = [timer for timer in self.timers if timer.at <= self.now_s and not timer.is_cancelled]
        self.timers = [timer for timer in self.timers if timer not in due and not timer.is_cancelled]
        for timer in due:
            timer.callback()
        await self.settle()

    def assert_nothing_is_left(self) -> None:
        assert len(self.ledger) == 0
        assert self.ledger.audit() == 0
        assert self.relay.memory.held_bytes == 0
        assert not [timer for timer in self.timers if not timer.is_cancelled]
        assert all(not wire.connection.http2.streams for wire in self.wires)

    async def close(self) -> None:
        self.relay.close()
        await self.settle()
        for wire in self.wires:
            wire.connection.connection_lost(None)

    # What the relay asks of a loop and of the network.

    async def connect(self, address: str, watcher: ConnectionWatcher) -> ReplicaConnection:
        if address in self.refusing:
            raise ConnectionRefusedError("nobody listens")
        ready = asyncio.get_running_loop().create_future()
        connection = ReplicaConnection(self._shared, replica_limits(self.relay.limits), watcher, ready)
        peer = Peer(is_server=True, limits=self.replica_limits)
        self.replicas.setdefault(address, []).append(peer)
        self._wire(connection, peer)
        await connection.wait_ready()
        return connection

    def _wire(self, connection: SocketConnection, peer: Peer) -> None:
        wire = Wire(connection, peer)
        connection.connection_made(wire)
        self.wires.append(wire)

    def _call_later(self, delay_s: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(self.now_s + delay_s, callback)
        self.timers.append(timer)
        return timer

    def _replica_pool(self, name: str) -> Pool:
        return self._pool(name, ReplicaWatch(name, self.fleet, self.relay.metrics, lambda: self.now_s))

    def _pool(self, name: str, watcher: PoolWatcher) -> Pool:
        return Pool(name, ConnectSettings(), self, self._spawn, random.Random(2), watcher)

    def _spawn(self, work: Coroutine[None, None, None]) -> object:
        return self._tasks.create_task(work)

    def _run_admission(self) -> None:
        self.admission.run(self.now_s)


def record(
    name: str, state: ReplicaState = ReplicaState.READY, models: tuple[str, ...] | None = ("m",), incarnation: int = 1
) -> ReplicaRecord:
    return ReplicaRecord(name, name, incarnation, state, None if models is None else frozenset(models), 1.0, None)


def token(text: str, sequence: int = 0) -> bytes:
    """One message of a response."""
    return prefixed(pb.GenerateResponse(sequence=sequence, text=text).SerializeToString())


def compressed(message: bytes) -> bytes:
    """A gzip message with its prefix."""
    squeezed = zlib.compress(message, wbits=31)
    return b"\x01" + len(squeezed).to_bytes(4, "big") + squeezed
