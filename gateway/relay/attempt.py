"""One try of an exchange on one replica."""

from typing import TYPE_CHECKING, Final

from gateway.channel.messages import OutcomeKind
from gateway.errors import Failure, Reason
from gateway.fleet.leases import Lease
from gateway.http2.connection import Connection
from gateway.http2.frames import ErrorCode
from gateway.http2.headers import Fields
from gateway.http2.streams import State, Stream
from gateway.relay.endings import FAULTS, UNAVAILABLE, ending_of
from gateway.relay.replica_connection import ReplicaConnection
from gateway.rpc.call import GATEWAY_ID
from gateway.rpc.framing import OPENINGS, MalformedFraming, WholeMessages

if TYPE_CHECKING:
    from gateway.relay.exchange import Exchange

_SENDING: Final = frozenset((State.OPEN, State.HALF_CLOSED_REMOTE))


class Attempt:
    """The replica's stream of an exchange, from the lease to the stream's end (http2.streams.StreamReceiver)."""

    __slots__ = (
        "_agent",
        "_agent_stream",
        "_credited_ahead",
        "_exchange",
        "_gaps",
        "_headers",
        "_last_at",
        "_messages",
        "_metrics",
        "_passed_messages",
        "_replica",
        "connection",
        "is_over",
        "lease",
        "stream",
    )

    def __init__(self, exchange: "Exchange", lease: Lease | None) -> None:
        self.lease = lease
        """None where control answers."""
        self.connection: ReplicaConnection | None = None
        self.stream: Stream | None = None
        self.is_over = False
        self._exchange = exchange
        self._headers: Fields | None = None
        self._last_at = 0.0
        """When the replica's last data came; 0 before the first."""
        self._replica: Connection | None = None
        self._credited_ahead = 0
        """Bytes held here that the replica was already credited."""
        self._passed_messages = 0
        self._metrics = exchange.relay.metrics.tokens_of(self.replica_id)
        self._gaps = self._metrics.inter_token
        self._agent = exchange.agent.http2
        self._agent_stream = exchange.stream
        hold_bytes = exchange.relay.limits.held_tail_bytes
        self._messages = WholeMessages(hold_bytes) if exchange.method.can_continue else None

    @property
    def replica_id(self) -> str:
        return self.lease.replica_id if self.lease else "control"

    @property
    def held_bytes(self) -> int:
        """Of a message that has begun and not ended."""
        return self._messages.held_bytes if self._messages is not None else 0

    @property
    def heard_at(self) -> float | None:
        """When the replica's last data came."""
        return self._last_at or None

    @property
    def is_held_up(self) -> bool:
        """The agent does not read: nothing can come before it does."""
        if self.stream is None or self.connection is None:
            return True
        return self.stream.receive_window * 4 < self.connection.http2.limits.stream_window_bytes

    # relay.pool.Acquirer.

    def on_connected(self, connection: ReplicaConnection) -> None:
        """There is a connection with room for one more stream: begin it."""
        exchange = self._exchange
        self.connection = connection
        self._replica = replica = connection.http2
        call = exchange.call
        # Control answers each gateway in front for itself.
        introduction = exchange.relay.introduction if self.lease is not None else ((GATEWAY_ID, call.gateway_id),)
        more = (introduction, call.timeout_at(exchange.relay.clock()))
        is_empty = exchange.body.is_whole and not exchange.body.chunks
        self.stream = replica.open_stream(call.fields, self, more=more, is_end=is_empty)
        exchange.relay.witness.begun(self)
        exchange.send_request(self)

    def on_connect_failed(self, message: str) -> None:
        self._tell(OutcomeKind.CONNECT_FAILED)
        self._end()
        self._exchange.on_unprocessed(Failure(Reason.REPLICA_UNREACHABLE, message))

    # http2.streams.StreamReceiver.

    def on_headers(self, fields: Fields, is_end: bool) -> None:
        if is_end:
            self._on_trailers(fields)
        elif not fields[0][1].startswith(b"1"):
            if fields[0][1] != b"200":
                self._on_trailers(fields)
            elif self._messages is None:
                self._exchange.begin_response(fields)
            else:
                self._headers = fields

    def on_data(self, data: bytes, start: int, end: int) -> None:
        assert self._replica is not None
        assert self.stream is not None
        now_s, last_at = self._replica.received_at, self._last_at
        if last_at:
            self._gaps.observe(now_s - last_at)
        else:
            self._on_first_data(now_s)
        self._last_at = now_s
        size = end - start - 9
        messages = self._messages
        if messages is not None:
            if not messages.is_at_boundary or data[start + 9 : start + 14] != OPENINGS[size]:
                self._on_pieces(messages, data[start + 9 : end])
                return
            messages.messages += 1
        if self._agent.forward(self._agent_stream, data, start, end):
            self.credit(size)
            if last_at:
                self._replica.let_pass(self.stream, self, self._agent, self._agent_stream)
        else:
            self._exchange.backlog.add(size)

    def on_last_data(self, payload: bytes) -> None:
        self._tell(OutcomeKind.FAILED)
        self._fail(Failure(Reason.REPLICA_FAILED, "the replica ended the stream without a status"))

    def on_reset(self, code: int) -> None:
        if code == ErrorCode.REFUSED_STREAM and self._headers is None and not self._last_at:
            self._end()
            self._exchange.on_unprocessed(Failure(Reason.REPLICA_UNREACHABLE, "the replica refused the stream"))
        elif code == ErrorCode.ENHANCE_YOUR_CALM:
            self._fail(Failure(Reason.OVERLOADED, "the replica refuses this much work"))
        else:
            if code != ErrorCode.CANCEL:  # so servers end what has passed its deadline
                self._tell(OutcomeKind.FAILED)
            self._fail(Failure(Reason.REPLICA_FAILED, f"the replica reset the stream (HTTP/2 error {code})"))

    def on_sent(self, size: int) -> None:
        self._exchange.on_request_sent(size)

    def on_connection_lost(self) -> None:
        self._tell(OutcomeKind.CONNECTION_LOST)
        self._fail(Failure(Reason.REPLICA_FAILED, "the connection to the replica was lost"))

    # http2.passage.Passenger.

    def on_passed(self, now_s: float) -> None:
        # Every token passes here: what it needs of others stands in attributes of this object.
        gap_s = now_s - self._last_at
        gaps = self._gaps
        if gap_s == gaps.value:
            gaps.run += 1
        else:
            gaps.observe(gap_s)
        self._last_at = now_s
        self._passed_messages += 1

    # For the exchange.

    def send(self, payload: bytes, *, is_end: bool) -> None:
        """Send bytes of the request; `Exchange.on_request_sent` tells when they have left."""
        if self.connection is not None and self.stream is not None and self.stream.state in _SENDING:
            self.connection.http2.send_data(self.stream, payload, is_end=is_end)

    def credit(self, size: int) -> None:
        """The agent's side has taken `size` bytes more: let the replica send as many."""
        if self._credited_ahead:
            ahead = min(size, self._credited_ahead)
            self._credited_ahead -= ahead
            size -= ahead
        if self.connection is not None and self.stream is not None:
            self.connection.http2.credit(self.stream, size)

    def cancel(self) -> None:
        """Nobody wants the answer any more. The exchange is not told."""
        if self.is_over:
            return
        if self.stream is None:
            self._exchange.relay.forget(self)
        elif self.stream.state not in (State.CLOSED, State.RESET) and self.connection is not None:
            self.connection.cancel(self.stream)
        self._end()

    # Ours.

    def _on_first_data(self, now_s: float) -> None:
        if self.lease is not None:
            self.lease.first_token(now_s)
        took_s = now_s - self._exchange.started_at
        self._metrics.time_to_first_token.observe(took_s)
        if self._exchange.route is not None:
            self._exchange.route.first_token.observe(took_s)
        self._release_headers()

    def _release_headers(self) -> None:
        if self._headers is not None:
            headers, self._headers = self._headers, None
            self._exchange.begin_response(headers)

    def _on_pieces(self, messages: WholeMessages, payload: bytes) -> None:
        """A frame that is not exactly one message."""
        held_bytes = messages.held_bytes
        try:
            released = messages.feed(payload)
        except MalformedFraming:
            self._tell(OutcomeKind.FAILED)
            self._fail(Failure(Reason.REPLICA_FAILED, "the replica sent what is no gRPC message"))
            return
        newly_held = max(0, messages.held_bytes - (held_bytes if not released else 0))
        self.credit(newly_held)
        self._credited_ahead += newly_held
        if released:
            self._exchange.backlog.add(len(released))
            self._exchange.agent.http2.send_data(self._exchange.stream, released)

    def _on_trailers(self, fields: Fields) -> None:
        if self._messages is not None and not self._messages.is_at_boundary:
            self._tell(OutcomeKind.FAILED)
            self._fail(Failure(Reason.REPLICA_FAILED, "the replica ended the stream inside a message"))
            return
        status, trailers, report = ending_of(fields)
        self._note(status, report)
        self.cancel()
        if status != UNAVAILABLE or not self._exchange.begin_anew():
            self._release_headers()
            self._exchange.end_response(trailers, status)

    def _note(self, status: bytes, report: bytes | None) -> None:
        """Take notice of what the replica said at the end, before the lease is given back."""
        self._tell(OutcomeKind.FAILED if status in FAULTS else OutcomeKind.ANSWERED)
        if report is not None and self.connection is not None:
            witness, connection = self._exchange.relay.witness, self.connection
            usage = witness.reported(self.lease, report, connection.reports, connection.http2.received_at)
            if usage is not None and self._exchange.route is not None:
                self._exchange.route.used(usage)
            if self._exchange.front is not None:
                self._exchange.front.usage = usage

    def _tell(self, kind: OutcomeKind) -> None:
        if not self.is_over:
            self._exchange.relay.witness.ended(self.lease, kind)

    def _fail(self, failure: Failure) -> None:
        self.cancel()
        self._exchange.on_broken(failure)

    def _end(self) -> None:
        self.is_over = True
        self._exchange.relay.witness.over(self)
        if self._messages is not None:
            self._metrics.messages.add(self._messages.messages + self._passed_messages)
        if self.lease is not None:
            self.lease.release()
        if self.stream is not None:
            self.stream.leave()
