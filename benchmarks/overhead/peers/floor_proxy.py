"""The least that a frame relay in plain Python can do: no limits, no policy, no leases, no metrics, no whole messages,
and a window that runs out ends it. What the gateway costs above this is what its features cost.

    python -m benchmarks.overhead.peers.floor_proxy PORT REPLICA_PORT ...
"""

import asyncio
import struct
import sys
from collections.abc import Iterator
from itertools import cycle
from typing import cast

import uvloop
from hpack import Decoder, Encoder

from gateway.http2.frames import (
    DATA,
    GOAWAY,
    HEADER,
    HEADERS,
    PING,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    settings,
    window_update,
)
from gateway.http2.frames import frame as build
from gateway.http2.headers import Field

_TO_REPLICA = PREFACE + settings([(4, 2**31 - 1), (2, 0)]) + window_update(0, 2**31 - 1 - 65_535)
_TO_AGENT = settings([(4, 2**20), (3, 100_000)]) + window_update(0, 2**24)
_unpack_setting = struct.Struct(">HI").unpack_from
_unpack_word = struct.Struct(">I").unpack_from


class Stream:
    __slots__ = ("agent", "agent_id", "replica", "replica_id", "window")
    agent: "AgentSide"
    agent_id: int
    replica: "ReplicaSide"
    replica_id: int
    window: int


class Side(asyncio.Protocol):
    greeting = b""

    def __init__(self, dirty: "list[Side]") -> None:
        self._dirty = dirty
        self._rest = b""
        self._out: list[bytes] = []
        self._is_marked = False
        self._skips_preface = self.greeting is _TO_AGENT
        self._transport: asyncio.Transport | None = None
        self.decoder, self.encoder = Decoder(), Encoder()
        self.streams: dict[int, Stream] = {}
        self.window = self.initial_window = 65_535

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self.greeting)

    def flush(self) -> None:
        self._is_marked = False
        if self._out and self._transport is not None:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def send(self, piece: bytes) -> None:
        self._out.append(piece)
        if not self._is_marked:
            self._is_marked = True
            self._dirty.append(self)

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        position = 0
        if self._skips_preface:
            position = len(PREFACE)
            self._skips_preface = False
        length = len(data)
        unpack = HEADER.unpack_from
        while length - position >= 9:
            high, low, kind, flags, stream_id = unpack(data, position)
            size = high << 8 | low
            end = position + 9 + size
            if end > length:
                break
            if kind == DATA:
                self.on_data(stream_id, data, position, end, size)
            else:
                self._on_other(kind, flags, stream_id, data[position + 9 : end])
            position = end
        self._rest = data[position:]
        for side in self._dirty:
            side.flush()
        self._dirty.clear()

    def _on_other(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == HEADERS:
            self.on_headers(stream_id, flags, payload)
        elif kind == SETTINGS and not flags:
            self._on_settings(payload)
        elif kind == PING and not flags:
            self.send(build(PING, 1, 0, payload))
        elif kind == WINDOW_UPDATE:
            self._widen(stream_id, _unpack_word(payload)[0])
        elif kind == RST_STREAM:
            self.on_reset(stream_id, payload)
        elif kind == GOAWAY:
            raise SystemExit("the floor knows no farewell")

    def _on_settings(self, payload: bytes) -> None:
        for offset in range(0, len(payload), 6):
            key, value = _unpack_setting(payload, offset)
            if key == 1:
                self.encoder.header_table_size = min(value, 4_096)
            elif key == 4:
                self._widen_all(value)
        self.send(build(SETTINGS, 1, 0))

    def _widen_all(self, initial_window: int) -> None:
        for stream in self.streams.values():
            stream.window += initial_window - self.initial_window
        self.initial_window = initial_window

    def _widen(self, stream_id: int, size: int) -> None:
        if not stream_id:
            self.window += size
        elif stream_id in self.streams and isinstance(self, AgentSide):
            self.streams[stream_id].window += size

    def on_headers(self, stream_id: int, flags: int, block: bytes) -> None:
        raise NotImplementedError

    def on_data(self, stream_id: int, data: bytes, start: int, end: int, size: int) -> None:
        raise NotImplementedError

    def on_reset(self, stream_id: int, payload: bytes) -> None:
        raise NotImplementedError

    def decoded(self, block: bytes) -> list[Field]:
        return cast(list[Field], self.decoder.decode(block, raw=True))


class AgentSide(Side):
    greeting = _TO_AGENT

    def __init__(self, dirty: list[Side], replicas: "Iterator[ReplicaSide]") -> None:
        super().__init__(dirty)
        self._replicas = replicas

    def on_headers(self, stream_id: int, flags: int, block: bytes) -> None:
        stream = Stream()
        stream.agent, stream.agent_id, stream.window = self, stream_id, self.initial_window
        stream.replica = replica = next(self._replicas)
        stream.replica_id = replica.next_id
        replica.next_id += 2
        self.streams[stream_id] = replica.streams[stream.replica_id] = stream
        fields = replica.encoder.encode(self.decoded(block))
        replica.send(build(HEADERS, flags & 5, stream.replica_id, fields))

    def on_data(self, stream_id: int, data: bytes, start: int, end: int, size: int) -> None:
        stream = self.streams.get(stream_id)
        if stream:
            header = data[start : start + 5] + stream.replica_id.to_bytes(4, "big")
            stream.replica.send(header + data[start + 9 : end])

    def on_reset(self, stream_id: int, payload: bytes) -> None:
        stream = self.streams.pop(stream_id, None)
        if stream:
            stream.replica.streams.pop(stream.replica_id, None)
            stream.replica.send(build(RST_STREAM, 0, stream.replica_id, payload))


class ReplicaSide(Side):
    greeting = _TO_REPLICA

    def __init__(self, dirty: list[Side]) -> None:
        super().__init__(dirty)
        self.next_id = 1
        self._uncredited = 0

    def on_headers(self, stream_id: int, flags: int, block: bytes) -> None:
        fields = self.decoded(block)
        stream = self.streams.get(stream_id)
        if not stream:
            return
        agent = stream.agent
        agent.send(build(HEADERS, flags & 5, stream.agent_id, agent.encoder.encode(fields)))
        if flags & 1:
            del self.streams[stream_id]
            agent.streams.pop(stream.agent_id, None)

    def on_data(self, stream_id: int, data: bytes, start: int, end: int, size: int) -> None:
        stream = self.streams.get(stream_id)
        if stream:
            agent = stream.agent
            stream.window -= size
            agent.window -= size
            if stream.window < 0 or agent.window < 0:
                raise SystemExit("a window has run out")
            agent.send(data[start : start + 5] + stream.agent_id.to_bytes(4, "big") + data[start + 9 : end])
        self._uncredited += size
        if self._uncredited > 2**29:
            self.send(window_update(0, self._uncredited))
            self._uncredited = 0

    def on_reset(self, stream_id: int, payload: bytes) -> None:
        stream = self.streams.pop(stream_id, None)
        if stream:
            stream.agent.streams.pop(stream.agent_id, None)
            stream.agent.send(build(RST_STREAM, 0, stream.agent_id, payload))


async def main(port: int, *replica_ports: int) -> None:
    loop = asyncio.get_running_loop()
    dirty: list[Side] = []
    replicas = [
        (await loop.create_connection(lambda: ReplicaSide(dirty), "127.0.0.1", replica))[1] for replica in replica_ports
    ]
    choice = cycle(replicas)
    server = await loop.create_server(lambda: AgentSide(dirty, choice), "127.0.0.1", port)
    print(f"floor listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(*map(int, sys.argv[1:])))
