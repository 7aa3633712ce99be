"""An agent that sees the wire: grpcio keeps load reports to itself. The HTTP/2 is h2's."""

import asyncio
import struct
from base64 import b64decode
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
from google.protobuf.message import Message
from xds.data.orca.v3.orca_load_report_pb2 import OrcaLoadReport


@dataclass
class Response:
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytearray = field(default_factory=bytearray)
    trailers: dict[str, str] = field(default_factory=dict[str, str])

    def report(self) -> OrcaLoadReport:
        value = self.trailers["endpoint-load-metrics-bin"]
        return OrcaLoadReport.FromString(b64decode(value + "=" * (-len(value) % 4)))


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.pongs = 0
        self.is_gone = False
        self._reader = reader
        self._writer = writer
        self._http2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._http2.initiate_connection()
        self._responses: dict[int, Response] = {}

    def begin(self, method: str, request: Message | bytes, metadata: dict[str, str] | None = None) -> int:
        """Send a request and return its stream."""
        stream = self._http2.get_next_available_stream_id()
        headers = {
            ":method": "POST",
            ":scheme": "http",
            ":path": method,
            ":authority": "test",
            "content-type": "application/grpc",
            "te": "trailers",
            **(metadata or {}),
        }
        body = request if isinstance(request, bytes) else request.SerializeToString()
        self._http2.send_headers(stream, list(headers.items()))
        self._http2.send_data(stream, struct.pack(">BI", 0, len(body)) + body, end_stream=True)
        self._responses[stream] = Response()
        return stream

    def ping(self) -> None:
        self._http2.ping(bytes(8))

    async def finish(self, stream: int) -> Response:
        """Return the response when it has ended."""
        response = self._responses[stream]
        while not response.trailers and not self.is_gone:
            await self.turn()
        return response

    async def turn(self) -> None:
        """Send what there is, take what comes."""
        self._writer.write(self._http2.data_to_send())
        received = await self._reader.read(65536)
        if not received:
            self.is_gone = True
            return
        for event in self._http2.receive_data(received):
            self._take(event)
        self._writer.write(self._http2.data_to_send())

    def _take(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived():
                response = self._responses[event.stream_id or 0]
                response.headers = texts(event.headers)
                if event.stream_ended:
                    response.trailers = response.headers
            case h2.events.TrailersReceived():
                self._responses[event.stream_id or 0].trailers = texts(event.headers)
            case h2.events.DataReceived():
                self._responses[event.stream_id or 0].body += event.data or b""
                self._http2.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
            case h2.events.PingAckReceived():
                self.pongs += 1
            case h2.events.ConnectionTerminated():
                self.is_gone = True
            case _:
                pass


def texts(headers: Iterable[tuple[str | bytes, str | bytes]] | None) -> dict[str, str]:
    assert headers is not None
    return {str(name): str(value) for name, value in headers}


@asynccontextmanager
async def wire_to(port: int) -> AsyncGenerator[Wire, None]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


async def call(port: int, method: str, request: Message | bytes, metadata: dict[str, str] | None = None) -> Response:
    async with wire_to(port) as wire:
        return await wire.finish(wire.begin(f"/inference.v1.Inference/{method}", request, metadata))
