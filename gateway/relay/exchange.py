"""One agent request, from its first header to its last."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from gateway.dialects.base import Method
from gateway.dispatch.admission import Parked
from gateway.errors import Failure, Limit, Reason, Refused
from gateway.fleet.leases import Lease
from gateway.http2.frames import ErrorCode
from gateway.http2.headers import Fields
from gateway.http2.streams import Stream
from gateway.relay.attempt import Attempt
from gateway.relay.backlog import Backlog
from gateway.relay.deadline import Deadline
from gateway.relay.in_front import InFront
from gateway.relay.patience import Patience
from gateway.relay.phases import MOVES, Phase
from gateway.relay.request_body import RequestBody
from gateway.relay.route_metrics import RouteTally
from gateway.relay.routing import routed
from gateway.relay.why import Why
from gateway.rpc.call import RESPONSE, Call
from gateway.rpc.status import Code
from gateway.types import Facts

if TYPE_CHECKING:
    from gateway.relay.agent_connection import AgentConnection
    from gateway.relay.relay import Relay

_MAX_ATTEMPTS: Final = 3
"""Of one request. A request that kills every process that reads it must not reach the whole fleet."""
_LONG_BYTES: Final = 1024 * 1024
"""Of a first message, to read which and to name its blocks takes about a millisecond."""
_CANCELLED: Final = str(int(Code.CANCELLED))


class Exchange:
    """Receives the agent's stream (http2.streams.StreamReceiver) and drives the attempts."""

    __slots__ = (
        "_attempt", "_deadline", "_facts", "_patience", "_tried", "_why", "agent", "backlog", "body",
        "call", "front", "method", "phase", "relay", "route", "started_at", "stream",
    )  # fmt: skip

    def __init__(self, relay: "Relay", agent: "AgentConnection", stream: Stream, call: Call, method: Method) -> None:
        self.relay = relay
        self.agent = agent
        self.stream = stream
        self.call = call
        self.method = method
        self.phase = Phase.READING
        self.body = RequestBody(relay.memory, relay.limits.request_bytes, is_message=method.reads_request)
        self.backlog = Backlog()
        self.route: RouteTally | None = None
        self._attempt: Attempt | None = None
        self._tried: tuple[str, ...] = ()
        """The replica of each attempt."""
        self._facts: Facts | None = None
        self._patience: Patience | None = None
        self._deadline = Deadline(call.deadline_at)
        self._why: Why | None = None
        self.front = InFront(relay.own_load, call.gateway_id) if call.gateway_id and not method.is_control else None
        self.started_at = agent.http2.received_at

    def __repr__(self) -> str:
        return f"<Exchange {self.call.path} {self.phase.name} attempts {len(self._tried)}>"

    def begin(self, is_end: bool) -> None:
        """The request's headers have arrived."""
        self._deadline.watch(self.started_at, self.relay, self.fail)
        if not self.method.reads_request:
            self.body.is_whole = is_end
            self._take(partial(self._decide, b""))
        elif is_end:
            self._receive_request(b"", is_end=True)

    # http2.streams.StreamReceiver: what the agent sends.

    def on_headers(self, fields: Fields, is_end: bool) -> None:
        """Trailers: gRPC requests have none, but HTTP/2 allows them."""
        self._receive_request(b"", is_end=True)

    def on_data(self, data: bytes, start: int, end: int) -> None:
        self._receive_request(data[start + 9 : end], is_end=False)

    def on_last_data(self, payload: bytes) -> None:
        self._receive_request(payload, is_end=True)

    def on_reset(self, code: int) -> None:
        self._finish(_CANCELLED)

    def on_sent(self, size: int) -> None:
        self.backlog.take(size)
        if self._attempt is not None:
            self._attempt.credit(size)

    def on_connection_lost(self) -> None:
        self._finish(_CANCELLED)

    # For the attempt.

    def send_request(self, attempt: Attempt) -> None:
        """Send what there is of the request on the attempt's new stream."""
        body = self.body
        body.begin_attempt()
        for number, chunk in enumerate(body.chunks):
            attempt.send(chunk, is_end=body.is_whole and number + 1 == len(body.chunks))
        body.let_go()

    def on_request_sent(self, size: int) -> None:
        """The replica has taken bytes of the request: the agent may send as many."""
        credit = self.body.credit_sent(size)
        if credit and self.phase is not Phase.DONE:
            self.agent.http2.credit(self.stream, credit)

    def begin_response(self, fields: Fields) -> None:
        self._move(Phase.STREAMING)
        self.body.forget()
        self.agent.http2.send_headers(self.stream, fields)

    def end_response(self, trailers: Fields, status: bytes) -> None:
        """The replica has ended the stream with this status, which the trailers have."""
        self._send_end(trailers)
        self._finish(status.decode("latin-1"))

    def on_unprocessed(self, failure: Failure) -> None:
        """No replica has seen the request: another one may do it, or the same where there is no other."""
        if not (self._try_again(frozenset(self._tried)) or self._try_again(frozenset())):
            self.fail(failure)

    def on_broken(self, failure: Failure) -> None:
        """The attempt has failed, perhaps half way."""
        if not self.begin_anew():
            self.fail(failure)

    def begin_anew(self) -> bool:
        """Let another replica do what one has begun: before the first token, and where the dialect knows that nothing
        else depends on it. What an opaque service has done may have to be done once only."""
        may_repeat = self.phase is Phase.ATTEMPTING and self.method.reads_request
        return may_repeat and self._try_again(frozenset(self._tried))

    def fail(self, failure: Failure) -> None:
        """End the exchange with a status of ours."""
        if self.phase is Phase.DONE:
            return
        status = self.relay.status_of(failure, self.route)
        self._send_end(status.trailers())
        self._finish(str(int(status.code)))

    # For the agent's connection.

    @property
    def held_bytes(self) -> int:
        """Of the request, while another attempt could need it, and of the response, until the agent has read it."""
        held_bytes = self.body.held_bytes + self.backlog.held_bytes
        return held_bytes if self._attempt is None else held_bytes + self._attempt.held_bytes

    def sweep(self, now_s: float) -> None:
        """End an exchange whose agent is too slow; asked every SWEEP_INTERVAL_S."""
        limits = self.relay.limits
        self._deadline.watch(now_s, self.relay, self.fail)
        if self.phase is Phase.READING and now_s - self.started_at > limits.first_message_timeout_s:
            message = f"the request's message was not complete in {limits.first_message_timeout_s:g} s"
            self.fail(Failure(Reason.DEADLINE_EXCEEDED, message, limit=Limit.FIRST_MESSAGE_TIMEOUT))
        elif self.backlog.is_late(now_s, limits.unread_timeout_s):
            self.cut(Limit.UNREAD_TIMEOUT)

    def cut(self, limit: Limit) -> None:
        """The agent does not read, so no status would reach it either."""
        self.relay.metrics.met(limit)
        self.agent.http2.reset(self.stream, ErrorCode.ENHANCE_YOUR_CALM)
        self._finish(str(int(Code.RESOURCE_EXHAUSTED)))

    # Ours.

    def _receive_request(self, payload: bytes, *, is_end: bool) -> None:
        if self.phase is Phase.DONE:
            return
        body, attempt = self.body, self._attempt
        body.is_whole = is_end
        try:
            body.add(payload)
            if attempt is not None and attempt.stream is not None:
                attempt.send(payload, is_end=is_end)
                body.let_go()
                return
            message = body.message() if self.phase is Phase.READING else None
            self.agent.http2.credit(self.stream, body.credit_read())
            if message is not None:
                self._decide(message)
        except Failure as failure:
            self.fail(failure)

    def _decide(self, message: bytes) -> None:
        """The first message is complete: read the facts and ask for a replica. Raises Failure."""
        self._move(Phase.DECIDING)
        if self.method.is_control:
            self._attempt_with(None)
        elif len(message) < _LONG_BYTES:
            self._read(message, self._pick)
        else:
            self._in_turn(partial(self._read, message, partial(self._in_turn, self._pick)))

    def _in_turn(self, step: Callable[[], None]) -> None:
        """Take a long step when others have had their turn."""
        self.relay.shared.turns.wait(partial(self._take, step))

    def _take(self, step: Callable[[], None]) -> None:
        if self.phase is not Phase.DONE:
            try:
                step()
            except Failure as failure:
                self.fail(failure)

    def _read(self, message: bytes, go_on: Callable[[], None]) -> None:
        self._facts, self.route, self._why = routed(self.relay, self.call, self.method, self.body, message)
        go_on()

    def _pick(self) -> None:
        """Name the blocks of the prompt, a piece a turn, and ask for a lease. Raises Failure."""
        prefix = self._facts.prefix if self._facts is not None else None
        if prefix is not None and not prefix.name():
            self._in_turn(self._pick)
        elif (refused := self._admit(frozenset())) is not None:
            raise refused

    def _try_again(self, excluded: frozenset[str]) -> bool:
        """Ask for a replica that is none of `excluded`; return whether there is one, or will be."""
        if self.method.is_control or len(self._tried) >= _MAX_ATTEMPTS or not self.body.is_kept:
            return False
        failed, self._attempt = self._attempt, None
        if self._admit(excluded) is None:
            return True
        self._attempt = failed
        return False

    def _admit(self, excluded: frozenset[str]) -> Refused | None:
        """Ask for a lease. Return why there is none."""
        assert self._facts is not None
        outcome = self.relay.admission.admit(self._facts, self.relay.clock(), excluded, self._on_granted)
        if isinstance(outcome, Refused):
            return outcome
        if isinstance(outcome, Parked):
            self._move(Phase.PARKED)
            self._patience = Patience(self.relay, outcome, self.fail)
        else:
            self._on_granted(outcome)
        return None

    def _on_granted(self, outcome: Lease | Refused) -> None:
        self._unpark()
        if isinstance(outcome, Refused):
            self.fail(outcome)
        else:
            self._attempt_with(outcome)

    def _attempt_with(self, lease: Lease | None) -> None:
        self._move(Phase.ATTEMPTING)
        self._attempt = Attempt(self, lease)
        self._tried += (self._attempt.replica_id,)
        self.relay.connect(self._attempt)

    def _send_end(self, trailers: Fields) -> None:
        """End our side of the agent's stream: as trailers, or as the whole response where it has not begun."""
        if self._why is not None:
            trailers = [*trailers, *self._why.trailers()]
        if self.front is not None:
            trailers = [*trailers, *self.front.trailers(self.relay.clock())]
        fields = trailers if self.phase is Phase.STREAMING else [*RESPONSE, *trailers]
        self.agent.http2.send_headers(self.stream, fields, is_end=True)

    def _finish(self, status: str) -> None:
        """The last thing that happens: everything that is held goes back, and one record is written."""
        if self.phase is Phase.DONE:
            return
        self._move(Phase.DONE)
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            attempt.cancel()
        if not self.stream.pending:
            self.stream.leave()
        self._unpark()
        self._deadline.cancel()
        self.body.forget()
        self.relay.metrics.finished(self, status, attempt.replica_id if attempt else "")

    def _unpark(self) -> None:
        if self._patience is not None:
            self._patience.end()
            self._patience = None

    def _move(self, phase: Phase) -> None:
        if phase not in MOVES[self.phase]:
            raise AssertionError(f"{self!r} to {phase.name}")
        self.phase = phase
        if self.front is not None:
            self.front.count()
