"""A connection of an agent."""

import asyncio
import errno
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gateway.config import join_address
from gateway.dialects.base import Method
from gateway.errors import Failure, Limit, Reason
from gateway.http2.frames import ErrorCode
from gateway.http2.headers import FieldList
from gateway.http2.preface import Greeting
from gateway.http2.streams import Stream
from gateway.relay.age import Age
from gateway.relay.exchange import Exchange
from gateway.relay.plain_answer import PlainAnswer
from gateway.relay.socket_connection import SocketConnection
from gateway.relay.timer import Timer
from gateway.relay.tls_socket import Session
from gateway.rpc.call import RESPONSE, Call, read_call
from gateway.rpc.plain import HTTP1_ANSWER, NotGrpc
from gateway.tls.faults import Cause, HandshakeFault

if TYPE_CHECKING:
    from gateway.relay.relay import Relay


# What the interpreter takes for each, about, beside the bytes that are counted.
_CONNECTION_BYTES = 32 * 1024
_STREAM_BYTES = 12 * 1024
_LINGER_S = 10.0
"""For the last bytes to a peer whose connection is being closed."""
_VANISHED = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH)
"""TCP had no answer in time; where routers say why, that is the error."""
_SPOKEN: Mapping[Greeting, Cause] = {
    Greeting.TLS: Cause.TLS,
    Greeting.HTTP1: Cause.HTTP1,
    Greeting.FOREIGN: Cause.FOREIGN,
}


class AgentConnection(SocketConnection):
    """Begins an exchange for each request, or answers what cannot become one."""

    is_server = True
    http1_answer = HTTP1_ANSWER

    def __init__(self, relay: "Relay", network: int) -> None:
        """`network` is the number under which control counts it (gateway.control.peers)."""
        super().__init__(relay.shared, relay.agent_limits)
        self.network = network
        self._relay = relay
        self._handshake: Timer | None = None
        self._session: Session | None = None
        self._fault: HandshakeFault | None = None
        self._peer = ""
        self._idle_at: float | None = None
        self._stuck_at: float | None = None
        self._age = Age(relay.connections, relay.clock(), relay.rng)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        relay = self._relay
        relay.add_agent(self)
        # A Unix socket's peer has no address.
        address, port, *_ = transport.get_extra_info("peername") or ("", 0)
        self._peer = join_address(address, port)
        timeout_s = relay.limits.handshake_timeout_s
        self._handshake = relay.call_at(relay.clock() + timeout_s, lambda: self.refuse(Limit.HANDSHAKE_TIMEOUT))
        relay.handshakes.begin(self)

    def on_secured(self, session: Session) -> None:
        self._session = session
        self._relay.handshakes.secured(session.version)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._end_handshake():
            known = exc if isinstance(exc, HandshakeFault) else self._fault
            self._relay.handshakes.failed(known or self._fault_by_words(), self._peer)
        super().connection_lost(exc)
        if isinstance(exc, OSError) and exc.errno in _VANISHED:
            self._relay.metrics.met(Limit.VANISHED_TIMEOUT)
        self._relay.remove_agent(self)

    # http2.connection.ConnectionOwner.

    def on_request(self, stream: Stream, fields: FieldList, is_end: bool) -> None:
        relay = self._relay
        try:
            call, method = self._read(fields)
        except NotGrpc as answer:
            expires_at = relay.clock() + relay.limits.first_message_timeout_s
            stream.receiver = plain = PlainAnswer(self.http2, stream, answer, expires_at)
            if is_end:
                plain.send()
        except Failure as failure:
            self.http2.send_headers(stream, [*RESPONSE, *relay.status_of(failure).trailers()], is_end=True)
        else:
            exchange = Exchange(relay, self, stream, call, method)
            stream.receiver = exchange
            exchange.begin(is_end)

    def on_peer_ready(self) -> None:
        if self._session is not None and not self._session.is_http2:
            self._fail_handshake(Cause.NO_H2, ErrorCode.PROTOCOL_ERROR)  # RFC 9113, 3.3
        else:
            self._end_handshake()

    def on_limit(self, limit: Limit) -> None:
        self._relay.metrics.met(limit)

    def refuse(self, limit: Limit) -> None:
        """The handshake meets a limit (relay.handshakes.Greeted)."""
        self.on_limit(limit)
        is_late = limit is Limit.HANDSHAKE_TIMEOUT
        cause = Cause.TIMEOUT if is_late else Cause.CROWDED_OUT
        self._fail_handshake(cause, ErrorCode.SETTINGS_TIMEOUT if is_late else ErrorCode.ENHANCE_YOUR_CALM)

    # For the sweeper.

    def sweep(self, now_s: float) -> int:
        """End what takes too long, and return how much memory this agent holds, bytes, estimated."""
        streams = self.http2.streams
        for stream in tuple(streams.values()):
            if isinstance(stream.receiver, Exchange | PlainAnswer):
                stream.receiver.sweep(now_s)
        exchanges = [stream.receiver for stream in streams.values() if isinstance(stream.receiver, Exchange)]
        self._bound_unread(exchanges)
        self._end_if_stuck(now_s)
        self._end_if_old(now_s)
        self._end_if_idle(now_s)
        held_bytes = sum(exchange.held_bytes for exchange in exchanges)
        return _CONNECTION_BYTES + len(streams) * _STREAM_BYTES + held_bytes

    def drain(self) -> None:
        # From now on it has its time to answer, however long it was idle before.
        if not self.http2.is_draining:
            self._idle_at = None
        super().drain()

    def end(self, limit: Limit) -> None:
        """Let go of all that this agent holds, at once."""
        self._relay.metrics.met(limit)
        self.http2.abort(ErrorCode.ENHANCE_YOUR_CALM, limit.value)
        self.flush()
        self.kill()

    # Ours.

    def _read(self, fields: FieldList) -> tuple[Call, Method]:
        """Return what is called. Raises NotGrpc, or Failure."""
        relay, limit_bytes = self._relay, self._relay.limits.header_bytes
        if fields.list_bytes > limit_bytes:
            message = f"the metadata is larger than {limit_bytes} bytes"
            raise Failure(Reason.METADATA_TOO_LARGE, message, limit=Limit.HEADER_BYTES)
        call = read_call(fields, self.http2.received_at, self._session.spiffe_id if self._session else "")
        method = relay.methods.find(call.path)
        if relay.is_refusing and not method.is_control:
            raise Failure(
                Reason.OVERLOADED,
                "agents hold too much memory of the gateway",
                limit=Limit.MEMORY_SOFT_BYTES,
            )
        return call, method

    def _bound_unread(self, exchanges: list[Exchange]) -> None:
        """Cancel those that hold most of what this agent does not read, until the rest is within the limit."""
        excess_bytes = sum(exchange.backlog.held_bytes for exchange in exchanges)
        excess_bytes -= self._relay.limits.unread_connection_bytes
        if excess_bytes <= 0:
            return
        for exchange in sorted(exchanges, key=lambda each: each.backlog.held_bytes, reverse=True):
            if excess_bytes <= 0:
                break
            excess_bytes -= exchange.backlog.held_bytes
            exchange.cut(Limit.UNREAD_CONNECTION_BYTES)

    def _end_if_stuck(self, now_s: float) -> None:
        """Its socket takes nothing, or does not take the last that we have to say."""
        if not (self.is_paused or self.is_closing):
            self._stuck_at = None
        elif self._stuck_at is None:
            self._stuck_at = now_s
        elif now_s - self._stuck_at > (_LINGER_S if self.is_closing else self._relay.limits.unread_timeout_s):
            self._relay.metrics.met(Limit.UNREAD_TIMEOUT)
            self.kill()

    def _fail_handshake(self, cause: Cause, code: ErrorCode) -> None:
        self._fault = HandshakeFault(cause)
        self.abort(code, str(self._fault))

    def _end_if_old(self, now_s: float) -> None:
        if self._age.is_over(now_s):
            self.abort(ErrorCode.NO_ERROR, "old")
        elif self._age.is_old(now_s):
            self.drain()

    def _end_if_idle(self, now_s: float) -> None:
        """Without streams, ask it to leave; where it was asked and says nothing, close."""
        if self.http2.streams:
            self._idle_at = None
        elif self._idle_at is None:
            self._idle_at = now_s
        elif self.http2.is_draining:
            if now_s - self._idle_at > _LINGER_S:
                self.abort(ErrorCode.NO_ERROR, "drain")
        elif now_s - self._idle_at > self._relay.limits.idle_timeout_s:
            self._relay.metrics.met(Limit.IDLE_TIMEOUT)
            self.drain()

    def _fault_by_words(self) -> HandshakeFault:
        fault = self.http2.fault
        cause = _SPOKEN.get(self.http2.spoken, Cause.BROKEN if fault else Cause.CLOSED)
        return HandshakeFault(cause, fault.message if fault and cause is Cause.BROKEN else "")

    def _end_handshake(self) -> bool:
        """Return whether it was still under way."""
        if self._handshake is None:
            return False
        self._handshake.cancel()
        self._handshake = None
        self._relay.handshakes.end(self)
        return True
