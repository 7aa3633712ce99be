"""Where a case is played: against the core in memory, or over a socket against any server."""

import socket
from collections import deque

from gateway.errors import Limit
from gateway.http2 import frames
from gateway.http2.codec import Codec
from gateway.http2.connection import Connection
from gateway.http2.headers import Fields
from gateway.http2.limits import Limits
from gateway.http2.streams import Stream
from gateway.rpc.plain import NotGrpc
from tests.gateway.http2.raw_peer import Frame, Recorder, read_frames

PAGE = NotGrpc(b"200", b"a short page")


class Answering(Recorder):
    """Receives for one request, and answers at its end as an HTTP server does."""

    def __init__(self, http2: Connection, stream: Stream) -> None:
        super().__init__()
        self._http2 = http2
        self._stream = stream

    def on_headers(self, fields: Fields, is_end: bool) -> None:
        self.answer()

    def on_last_data(self, payload: bytes) -> None:
        self.answer()

    def answer(self) -> None:
        self._http2.send_headers(self._stream, PAGE.fields)
        self._http2.send_data(self._stream, PAGE.body, is_end=True)


class MemoryWire:
    """The core, with an owner that answers every request with a page (http2.owner.ConnectionOwner)."""

    def __init__(self) -> None:
        self.http2 = Connection(self, is_server=True, limits=Limits(), codec=Codec(), clock=lambda: 0.0)
        self._coming = deque[Frame]()

    def send(self, data: bytes) -> None:
        self.http2.receive(data)

    def receive(self) -> Frame | None:
        self._coming.extend(read_frames(b"".join(self.http2.take_output())))
        if self._coming:
            return self._coming.popleft()
        if self.http2.is_finished:
            return None
        raise TimeoutError

    def on_output(self) -> None: ...

    def on_request(self, stream: Stream, fields: Fields, is_end: bool) -> None:
        stream.receiver = answering = Answering(self.http2, stream)
        if is_end:
            answering.answer()

    def on_peer_ready(self) -> None: ...

    def on_goaway(self, code: int, debug: bytes) -> None: ...

    def on_ping_ack(self, payload: bytes) -> None: ...

    def on_limit(self, limit: Limit) -> None: ...


class SocketWire:
    """A connection to HOST:PORT. Raises OSError where there is none to be had."""

    def __init__(self, host: str, port: int, timeout_s: float) -> None:
        self._socket = socket.create_connection((host, port), timeout_s)
        self._arrived = b""

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except ConnectionError:
            pass

    def receive(self) -> Frame | None:
        while True:
            if len(self._arrived) >= frames.HEADER_BYTES:
                end = frames.HEADER_BYTES + int.from_bytes(self._arrived[:3], "big")
                if len(self._arrived) >= end:
                    wire, self._arrived = self._arrived[:end], self._arrived[end:]
                    return next(read_frames(wire))
            try:
                chunk = self._socket.recv(65_536)
            except ConnectionError:
                return None
            if not chunk:
                return None
            self._arrived += chunk
