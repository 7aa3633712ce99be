"""A connection of an agent."""

import asyncio
from typing import TYPE_CHECKING

from gateway.dialects.base import Method
from gateway.errors import Failure, Limit, Reason
from gateway.http2.frames import ErrorCode
from gateway.http2.headers import FieldList
from gateway.http2.streams import Stream
from gateway.relay.exchange import Exchange
from gateway.relay.plain_answer import PlainAnswer
from gateway.relay.socket_connection import SocketConnection
from gateway.relay.timer import Timer
from gateway.rpc.call import RESPONSE, Call, read_call
from gateway.rpc.plain import HTTP1_ANSWER, NotGrpc
from gateway.rpc.status import status_of

if TYPE_CHECKING:
    from gateway.relay.relay import Relay


# What the interpreter takes for each, about, beside the bytes that are counted.
_CONNECTION_BYTES = 32 * 1024
_STREAM_BYTES = 12 * 1024
_LINGER_S = 10.0
"""For the last bytes to a peer whose connection is being closed."""


class AgentConnection(SocketConnection):
    """Begins an exchange for each request, or answers what cannot become one."""

    is_server = True
    http1_answer = HTTP1_ANSWER

    def __init__(self, relay: "Relay") -> None:
        super().__init__(relay.flusher, relay.codec, relay.agent_limits)
        self._relay = relay
        self._handshake: Timer | None = None
        self._address: str | None = None
        """Counted under it; None while it is not."""
        self._idle_at: float | None = None
        self._stuck_at: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        relay = self._relay
        relay.add_agent(self)
        # A Unix socket's peer has no address.
        address, *_ = transport.get_extra_info("peername") or ("",)
        limit = relay.peers.enter(address)
        if limit is not None:
            relay.metrics.met(limit)
            self.kill()
            return
        self._address = address
        self._handshake = relay.call_at(relay.clock() + relay.limits.handshake_timeout_s, self._on_handshake_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_handshake()
        super().connection_lost(exc)
        if self._address is not None:
            self._relay.peers.leave(self._address)
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
            relay.metrics.failed(failure)
            self.http2.send_headers(stream, [*RESPONSE, *status_of(failure).trailers()], is_end=True)
        else:
            exchange = Exchange(relay, self, stream, call, method)
            stream.receiver = exchange
            exchange.begin(is_end)

    def on_peer_ready(self) -> None:
        self._end_handshake()

    def on_limit(self, limit: Limit) -> None:
        self._relay.metrics.met(limit)

    # For the sweeper.

    def sweep(self, now_s: float) -> int:
        """End what takes too long, and return how much memory this agent holds, bytes, estimated."""
        limits = self._relay.limits
        streams = self.http2.streams
        for stream in tuple(streams.values()):
            if isinstance(stream.receiver, Exchange | PlainAnswer):
                stream.receiver.sweep(now_s)
        exchanges = [stream.receiver for stream in streams.values() if isinstance(stream.receiver, Exchange)]
        self._bound_unread(exchanges)
        self._end_if_stuck(now_s)
        if streams:
            self._idle_at = None
        elif self._idle_at is None:
            self._idle_at = now_s
        elif now_s - self._idle_at > limits.idle_timeout_s:
            self._relay.metrics.met(Limit.IDLE_TIMEOUT)
            self.abort(ErrorCode.NO_ERROR, "idle")
        held_bytes = sum(exchange.held_bytes for exchange in exchanges)
        return _CONNECTION_BYTES + len(streams) * _STREAM_BYTES + held_bytes

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
        call = read_call(fields, relay.clock())
        method = relay.methods.find(call.path)
        if relay.is_refusing and not method.is_control:
            raise Failure(
                Reason.OVERLOADED,
                "agents hold too much memory of the gateway",
                retry_after_s=relay.pushback(),
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

    def _on_handshake_timeout(self) -> None:
        self._relay.metrics.met(Limit.HANDSHAKE_TIMEOUT)
        self.abort(ErrorCode.SETTINGS_TIMEOUT, "no HTTP/2 handshake in time")

    def _end_handshake(self) -> None:
        if self._handshake is not None:
            self._handshake.cancel()
            self._handshake = None
