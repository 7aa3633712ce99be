"""The answer to a request that is not gRPC."""

from gateway.http2.connection import Connection
from gateway.http2.frames import ErrorCode
from gateway.http2.headers import Fields
from gateway.http2.streams import Stream
from gateway.rpc.plain import NotGrpc


class PlainAnswer:
    """Waits for the end of the request, whose content it drops (http2.streams.StreamReceiver): general HTTP clients
    do not expect an answer earlier."""

    held_bytes = 0

    def __init__(self, http2: Connection, stream: Stream, answer: NotGrpc, expires_at: float) -> None:
        """From `expires_at` on the stream is in nobody's interest."""
        self._expires_at = expires_at
        self._http2 = http2
        self._stream = stream
        self._answer = answer

    def send(self) -> None:
        body = self._answer.body
        self._http2.send_headers(self._stream, self._answer.fields, is_end=not body)
        if body:
            self._http2.send_data(self._stream, body, is_end=True)

    def sweep(self, now_s: float) -> None:
        if now_s > self._expires_at:
            self._http2.reset(self._stream, ErrorCode.CANCEL)

    def on_headers(self, fields: Fields, is_end: bool) -> None:
        self.send()

    def on_data(self, data: bytes, start: int, end: int) -> None:
        self._http2.credit(self._stream, end - start - 9)

    def on_last_data(self, payload: bytes) -> None:
        self.send()

    def on_reset(self, code: int) -> None: ...
    def on_sent(self, size: int) -> None: ...
    def on_connection_lost(self) -> None: ...
