"""A peer that speaks in raw frames to a connection in memory, and reads what it answers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import hpack

from gateway.errors import Limit
from gateway.http2 import frames
from gateway.http2.codec import Codec, HeaderEncoder
from gateway.http2.connection import Connection
from gateway.http2.frames import ErrorCode, Setting
from gateway.http2.headers import Field, Fields
from gateway.http2.limits import Limits
from gateway.http2.streams import Stream

REQUEST: tuple[Field, ...] = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/a.B/C"),
    (b":authority", b"gateway"),
)
RESPONSE: tuple[Field, ...] = ((b":status", b"200"), (b"content-type", b"application/grpc"))
TRAILERS: tuple[Field, ...] = ((b"grpc-status", b"0"),)

END_STREAM, END_HEADERS, ACK, PADDED, HAS_PRIORITY = (
    frames.END_STREAM,
    frames.END_HEADERS,
    frames.ACK,
    frames.PADDED,
    frames.HAS_PRIORITY,
)
ALL = END_STREAM | END_HEADERS


class Frame(NamedTuple):
    kind: int
    flags: int
    stream_id: int
    payload: bytes

    def __repr__(self) -> str:
        return f"<frame {self.kind} flags {self.flags:#x} stream {self.stream_id} {self.payload[:24]!r}>"


def read_frames(wire: bytes) -> Iterator[Frame]:
    position = wire.startswith(frames.PREFACE) * len(frames.PREFACE)
    while position < len(wire):
        high, low, kind, flags, stream_id = frames.HEADER.unpack_from(wire, position)
        end = position + 9 + (high << 8 | low)
        assert end <= len(wire)
        yield Frame(kind, flags, stream_id, wire[position + 9 : end])
        position = end


def block(fields: Fields) -> bytes:
    """Encoded by static table and literals: the same at any moment."""
    return HeaderEncoder().encode(fields)


def headers(stream_id: int = 1, fields: Fields = REQUEST, flags: int = END_HEADERS) -> bytes:
    return frames.frame(frames.HEADERS, flags, stream_id, block(fields))


def raw_headers(fragment: bytes, stream_id: int = 1, flags: int = ALL) -> bytes:
    return frames.frame(frames.HEADERS, flags, stream_id, fragment)


def continuation(fragment: bytes, stream_id: int = 1, flags: int = END_HEADERS) -> bytes:
    return frames.frame(frames.CONTINUATION, flags, stream_id, fragment)


def data(stream_id: int = 1, payload: bytes = b"content", flags: int = 0) -> bytes:
    return frames.frame(frames.DATA, flags, stream_id, payload)


def settings(*values: tuple[int, int]) -> bytes:
    return frames.settings(values)


def ping(payload: bytes = b"01234567", flags: int = 0, stream_id: int = 0) -> bytes:
    return frames.frame(frames.PING, flags, stream_id, payload)


def priority(stream_id: int = 1, depends_on: int = 0, size: int = 5) -> bytes:
    return frames.frame(frames.PRIORITY, 0, stream_id, (depends_on.to_bytes(4, "big") + b"\x0f" * 9)[:size])


SETTINGS_ACK = frames.frame(frames.SETTINGS, ACK, 0)
PREFACE_SETTINGS = frames.PREFACE + settings()


@dataclass
class Recorder:
    """Receives for one stream, and remembers."""

    events: list[tuple[object, ...]] = field(default_factory=list[tuple[object, ...]])
    header_lists: list[Fields] = field(default_factory=list[Fields])
    content: bytes = b""
    sent_bytes: int = 0

    def on_headers(self, fields: Fields, is_end: bool) -> None:
        self.events.append(("headers", tuple(fields), is_end))
        self.header_lists.append(fields)

    def on_data(self, data: bytes, start: int, end: int) -> None:
        self.content += data[start + 9 : end]
        self.events.append(("data", data[start + 9 : end]))

    def on_last_data(self, payload: bytes) -> None:
        self.content += payload
        self.events.append(("last data", payload))

    def on_reset(self, code: int) -> None:
        self.events.append(("reset", ErrorCode(code) if code in set(ErrorCode) else code))

    def on_sent(self, size: int) -> None:
        self.sent_bytes += size

    def on_connection_lost(self) -> None:
        raise AssertionError("a connection in memory is never lost")


@dataclass
class Owner:
    requests: list[tuple[Stream, Fields, bool]] = field(default_factory=list[tuple[Stream, Fields, bool]])
    outputs: int = 0
    is_peer_ready: bool = False
    goaways: list[tuple[int, bytes]] = field(default_factory=list[tuple[int, bytes]])
    ping_acks: list[bytes] = field(default_factory=list[bytes])
    limits: list[Limit] = field(default_factory=list[Limit])

    def on_output(self) -> None:
        self.outputs += 1

    def on_request(self, stream: Stream, fields: Fields, is_end: bool) -> None:
        stream.receiver = Recorder()
        self.requests.append((stream, fields, is_end))

    def on_peer_ready(self) -> None:
        self.is_peer_ready = True

    def on_goaway(self, code: int, debug: bytes) -> None:
        self.goaways.append((code, debug))

    def on_limit(self, limit: Limit) -> None:
        self.limits.append(limit)

    def on_ping_ack(self, payload: bytes) -> None:
        self.ping_acks.append(payload)


class RawPeer:
    """One connection under test and its other end."""

    def __init__(self, *, is_server: bool = True, limits: Limits | None = None, opening: bytes | None = None) -> None:
        """`is_server`: what the connection is. `opening` replaces an empty SETTINGS and the ACK of its own."""
        self.owner = Owner()
        self.now_s = 0.0
        """What the connection's clock says."""
        self.connection = Connection(
            self.owner,
            is_server=is_server,
            limits=limits or Limits(),
            codec=Codec(),
            clock=lambda: self.now_s,
            http1_answer=b"HTTP/1.1 505 x\r\n\r\n",
        )
        self._decoder = hpack.Decoder()
        self.greeting: list[Frame] = []
        if opening is None:
            opening = (frames.PREFACE if is_server else b"") + settings() + SETTINGS_ACK
        if opening:
            self.greeting = self.send(opening)

    def send(self, *pieces: bytes) -> list[Frame]:
        """Return the frames that come back."""
        self.connection.receive(b"".join(pieces))
        return self.sent()

    def sent(self) -> list[Frame]:
        return list(read_frames(b"".join(self.connection.take_output())))

    def decode(self, frame: Frame) -> list[Field]:
        return [(bytes(name), bytes(value)) for name, value in self._decoder.decode(frame.payload, raw=True)]

    def open(self, *, is_end: bool = False) -> tuple[Stream, Recorder]:
        """A client under test begins a request."""
        recorder = Recorder()
        stream = self.connection.open_stream(REQUEST, recorder, is_end=is_end)
        return stream, recorder

    def request(self, stream_id: int = 1, fields: Fields = REQUEST, *, is_end: bool = False) -> tuple[Stream, Recorder]:
        """A server under test gets a request."""
        self.send(headers(stream_id, fields, ALL if is_end else END_HEADERS))
        stream = self.owner.requests[-1][0]
        assert stream.id == stream_id
        assert isinstance(stream.receiver, Recorder)
        return stream, stream.receiver


def goaway_codes(answer: list[Frame]) -> list[ErrorCode]:
    return [ErrorCode(frames.read_word(f.payload, 4)) for f in answer if f.kind == frames.GOAWAY]


def resets(answer: list[Frame]) -> list[tuple[int, ErrorCode]]:
    return [(f.stream_id, ErrorCode(frames.read_word(f.payload))) for f in answer if f.kind == frames.RST_STREAM]


def of_kind(kind: int, answer: list[Frame]) -> list[Frame]:
    return [f for f in answer if f.kind == kind]


def window(size: int) -> bytes:
    return settings((Setting.INITIAL_WINDOW_SIZE, size))
