"""A connection of an agent."""

from typing import TYPE_CHECKING

from gateway.errors import Failure, Reason
from gateway.http2.frames import ErrorCode
from gateway.http2.headers import Fields, list_bytes
from gateway.http2.streams import Stream
from gateway.relay.exchange import Exchange
from gateway.relay.plain_answer import PlainAnswer
from gateway.relay.socket_connection import SocketConnection
from gateway.relay.timer import Timer
from gateway.rpc.call import RESPONSE, read_call
from gateway.rpc.plain import HTTP1_ANSWER, NotGrpc
from gateway.rpc.status import status_of

if TYPE_CHECKING:
    from gateway.relay.relay import Relay


class AgentConnection(SocketConnection):
    """Begins an exchange for each request, or answers what cannot become one."""

    is_server = True
    http1_answer = HTTP1_ANSWER

    def __init__(self, relay: "Relay") -> None:
        super().__init__(relay.flusher, relay.codec, relay.agent_limits)
        self._relay = relay
        self._handshake: Timer | None = relay.call_at(
            relay.clock() + relay.limits.handshake_timeout_s, self._on_handshake_timeout
        )
        relay.add_agent(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_handshake()
        super().connection_lost(exc)
        self._relay.remove_agent(self)

    # http2.connection.ConnectionOwner.

    def on_request(self, stream: Stream, fields: Fields, is_end: bool) -> None:
        try:
            if list_bytes(fields) > self._relay.limits.header_bytes:
                limit_bytes = self._relay.limits.header_bytes
                raise Failure(Reason.METADATA_TOO_LARGE, f"the metadata is larger than {limit_bytes} bytes")
            call = read_call(fields, self._relay.clock())
            method = self._relay.methods.find(call.path)
        except NotGrpc as answer:
            stream.receiver = plain = PlainAnswer(self.http2, stream, answer)
            if is_end:
                plain.send()
        except Failure as failure:
            self._relay.metrics.failed(failure.reason)
            self.http2.send_headers(stream, [*RESPONSE, *status_of(failure).trailers()], is_end=True)
        else:
            exchange = Exchange(self._relay, self, stream, call, method)
            stream.receiver = exchange
            exchange.begin(is_end)

    def on_peer_ready(self) -> None:
        self._end_handshake()

    def _on_handshake_timeout(self) -> None:
        self.abort(ErrorCode.SETTINGS_TIMEOUT, "no HTTP/2 handshake in time")

    def _end_handshake(self) -> None:
        if self._handshake is not None:
            self._handshake.cancel()
            self._handshake = None
