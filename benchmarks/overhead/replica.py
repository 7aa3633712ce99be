"""A replica that costs next to nothing: raw HTTP/2 from prebuilt buffers, no scheduler, no protobuf.

    python -m benchmarks.overhead.replica PORT

Each request says in its metadata what to send: `x-messages`, `x-bytes` (of each message), `x-interval-ms`. All running
streams of an interval get their message at the same moment, as an engine's step gives it; interval 0 sends as fast as
the other side takes it. Anything but Generate is UNIMPLEMENTED, which the gateway takes for healthy, without models.
"""

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import cast

import uvloop

from gateway.http2 import frames
from gateway.http2.connection import Connection
from gateway.http2.headers import Codec, Fields
from gateway.http2.limits import Limits
from gateway.http2.streams import Stream
from gateway.rpc.call import RESPONSE
from gateway.rpc.framing import prefixed
from inference.v1 import inference_pb2 as pb

_LIMITS = Limits(streams=100_000, stream_window_bytes=2**20, connection_window_bytes=2**28)
_CODEC = Codec()


@dataclass(eq=False, slots=True)
class Running:
    stream: Stream
    message: bytes
    """As a DATA frame."""
    left: int


class ReplicaProtocol(asyncio.Protocol):
    """One connection."""

    def __init__(self, steps: "Steps") -> None:
        self._steps = steps
        self._transport: asyncio.Transport | None = None
        self.is_writable = True
        self.http2 = Connection(self, is_server=True, limits=_LIMITS, codec=_CODEC, clock=time.monotonic)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(1 << 20)
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.http2.receive(data)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._steps.forget(self)

    def pause_writing(self) -> None:
        self.is_writable = False

    def resume_writing(self) -> None:
        self.is_writable = True

    def flush(self) -> None:
        out = self.http2.take_output()
        if self._transport is not None and out:
            self._transport.write(b"".join(out))

    def on_request(self, stream: Stream, fields: Fields, is_end: bool) -> None:
        request = dict(fields)
        if not request[b":path"].endswith(b"/Generate"):
            self.http2.send_headers(stream, [*RESPONSE, (b"grpc-status", b"12")], is_end=True)
            return
        stream.receiver = Asked(self, stream, request)
        if is_end:
            stream.receiver.on_last_data(b"")

    def begin(self, stream: Stream, request: dict[bytes, bytes]) -> None:
        self.http2.send_headers(stream, RESPONSE)
        padding = "x" * (int(request[b"x-bytes"]) - 12)
        payload = prefixed(pb.GenerateResponse(sequence=1, text=padding, token_ids=[1]).SerializeToString())
        message = frames.frame(frames.DATA, 0, 0, payload)
        running = Running(stream, message, int(request[b"x-messages"]))
        self._steps.add(self, running, float(request.get(b"x-interval-ms", b"0")) / 1e3)

    def step(self, running: list[Running]) -> None:
        """Send one message on each stream; those that are done end."""
        if not self.is_writable:
            return
        http2 = self.http2
        for one in running:
            if one.left and one.stream.id in http2.streams and not one.stream.pending:
                http2.forward(one.stream, one.message, 0, len(one.message))
                one.left -= 1
                if not one.left:
                    http2.send_headers(one.stream, [(b"grpc-status", b"0")], is_end=True)
        self.flush()

    def on_output(self) -> None: ...

    def on_peer_ready(self) -> None: ...

    def on_goaway(self, code: int, debug: bytes) -> None: ...

    def on_ping_ack(self, payload: bytes) -> None: ...


class Asked:
    """Waits for the end of a request (http2.streams.StreamReceiver)."""

    def __init__(self, connection: ReplicaProtocol, stream: Stream, request: dict[bytes, bytes]) -> None:
        self._connection = connection
        self._stream = stream
        self._request = request

    def on_headers(self, fields: Fields, is_end: bool) -> None: ...

    def on_data(self, data: bytes, start: int, end: int) -> None:
        self._connection.http2.credit(self._stream, end - start - 9)

    def on_last_data(self, payload: bytes) -> None:
        self._connection.begin(self._stream, self._request)

    def on_reset(self, code: int) -> None: ...

    def on_sent(self, size: int) -> None: ...

    def on_connection_lost(self) -> None: ...


class Steps:
    """One clock for all streams of an interval."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._running: dict[float, dict[ReplicaProtocol, list[Running]]] = {}

    def add(self, connection: ReplicaProtocol, running: Running, interval_s: float) -> None:
        by_connection = self._running.get(interval_s)
        if by_connection is None:
            by_connection = self._running[interval_s] = {}
            self._loop.call_later(interval_s, self._step, interval_s, self._loop.time() + interval_s)
        by_connection.setdefault(connection, []).append(running)

    def forget(self, connection: ReplicaProtocol) -> None:
        for by_connection in self._running.values():
            by_connection.pop(connection, None)

    def _step(self, interval_s: float, due_at: float) -> None:
        by_connection = self._running[interval_s]
        for connection, running in list(by_connection.items()):
            connection.step(running)
            left = [one for one in running if one.left and one.stream.id in connection.http2.streams]
            by_connection[connection] = left
            if not left:
                del by_connection[connection]
        if not by_connection:
            del self._running[interval_s]
        elif interval_s:
            # Absolute instants: a late step does not make all later ones late.
            next_at = due_at + interval_s
            self._loop.call_later(max(0.0, next_at - self._loop.time()), self._step, interval_s, next_at)
        else:
            self._loop.call_soon(self._step, 0.0, 0.0)


async def main(port: int) -> None:
    steps = Steps()
    server = await asyncio.get_running_loop().create_server(lambda: ReplicaProtocol(steps), "127.0.0.1", port)
    print(f"replica listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
