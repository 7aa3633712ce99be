"""How a case is written, and how it is played to a server: in memory or over a socket."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import hpack

from gateway.http2 import frames
from gateway.http2.frames import ErrorCode, Setting
from tests.gateway.http2.raw_peer import ACK, ALL, END_HEADERS, END_STREAM, Frame

HEADER_BYTES = 4_000
"""Of the long header fields that some cases send."""
STREAM_ID = 1


class Wire(Protocol):
    """What leads to the server."""

    def send(self, data: bytes) -> None:
        """A server that has closed is no error: `receive` tells."""
        ...

    def receive(self) -> Frame | None:
        """Return the next frame, or None where the server has closed. Raises TimeoutError where it says nothing."""
        ...


@dataclass
class Player:
    """The client of one case. It codes headers with a dynamic table of 4,096 bytes and Huffman, whatever the server
    has announced: that is what h2spec does."""

    wire: Wire
    authority: str = "localhost"
    encoder: hpack.Encoder = field(default_factory=hpack.Encoder)
    settings: dict[int, int] = field(default_factory=dict[int, int])
    """The server's."""

    def shake_hands(self) -> bool:
        """Return whether the server has said and acknowledged SETTINGS."""
        self.wire.send(OPENING)
        is_heard = is_told = False
        while not (is_heard and is_told):
            event = self.wire.receive()
            if event is None:
                return False
            if event.kind == frames.SETTINGS and event.flags & ACK:
                is_heard = True
            elif event.kind == frames.SETTINGS:
                is_told = True
                self.settings = dict(frames.read_settings(event.payload))
                self.wire.send(frames.frame(frames.SETTINGS, ACK, 0))
        return True

    def meets(self, expected: "Expectation") -> bool:
        try:
            while True:
                event = self.wire.receive()
                verdict = expected(event)
                if verdict is not None:
                    return verdict
                if event is None:
                    return False
        except TimeoutError:
            return False


Send = Callable[[Player], bytes]
Expectation = Callable[[Frame | None], bool | None]
"""Of an event, None being the end of the connection: whether it settles the matter, and how."""


@dataclass(frozen=True)
class Expect:
    """Look at what comes until it is settled."""

    what: Expectation


@dataclass(frozen=True)
class Case:
    id: str
    """Suite, section and number, as h2spec 2.6 counts them; sections are those of RFC 7540 and 7541."""
    says: str
    steps: Sequence[bytes | Send | Expect]
    opens: bool = True
    """Begins with a handshake."""


def play(case: Case, player: Player) -> bool:
    """Return whether the server did what the case asks of it."""
    try:
        if case.opens and not player.shake_hands():
            return False
    except TimeoutError:
        return False
    for step in case.steps:
        if isinstance(step, Expect):
            if not player.meets(step.what):
                return False
        else:
            player.wire.send(step if isinstance(step, bytes) else step(player))
    return True


# What the client sends.

OPENING = frames.PREFACE + frames.settings([(Setting.INITIAL_WINDOW_SIZE, 65_535)])
Fields = Sequence[tuple[str, str]]
LONG = ("x-dummy0", "x" * HEADER_BYTES)


def common(player: Player, method: str = "GET") -> list[tuple[str, str]]:
    return [(":method", method), (":scheme", "http"), (":path", "/"), (":authority", player.authority)]


def request(
    stream_id: int = STREAM_ID, flags: int = ALL, *, method: str = "GET", more: Fields = (), tail: bytes = b""
) -> Send:
    """HEADERS of a request for /, with more fields and more bytes at the end of its block."""

    def send(player: Player) -> bytes:
        block = player.encoder.encode([*common(player, method), *more]) + tail
        return frames.frame(frames.HEADERS, flags, stream_id, block)

    return send


def post(*, more: Fields = (), flags: int = END_HEADERS) -> Send:
    return request(flags=flags, method="POST", more=more)


def fields(*fields: tuple[str, str], kind: int = frames.HEADERS, stream_id: int = STREAM_ID, flags: int = ALL) -> Send:
    """HEADERS or CONTINUATION with these fields and no others."""
    return lambda player: frames.frame(kind, flags, stream_id, player.encoder.encode(fields))


def continued(stream_id: int = STREAM_ID, flags: int = END_HEADERS) -> Send:
    return fields(LONG, kind=frames.CONTINUATION, stream_id=stream_id, flags=flags)


def data(payload: bytes = b"test", flags: int = END_STREAM, stream_id: int = STREAM_ID) -> bytes:
    return frames.frame(frames.DATA, flags, stream_id, payload)


def window(size: int) -> bytes:
    return frames.settings([(Setting.INITIAL_WINDOW_SIZE, size)])


def priority(stream_id: int = STREAM_ID, depends_on: int = 0, weight: int = 255) -> bytes:
    return frames.frame(frames.PRIORITY, 0, stream_id, depends_on.to_bytes(4, "big") + bytes((weight,)))


def raw(kind: int, payload: bytes = b"", stream_id: int = 0, flags: int = 0) -> bytes:
    return frames.frame(kind, flags, stream_id, payload)


# What is expected.


def connection_error(*codes: ErrorCode) -> Expect:
    return Expect(lambda event: True if event is None or _goaway(event, codes) else None)


def stream_error(*codes: ErrorCode) -> Expect:
    return Expect(lambda event: True if event is None or _goaway(event, codes) or _reset(event, codes) else None)


def goes_away(*codes: ErrorCode) -> Expect:
    return _first(frames.GOAWAY, lambda frame: _goaway(frame, codes))


def resets(*codes: ErrorCode) -> Expect:
    return _first(frames.RST_STREAM, lambda frame: frame.stream_id == STREAM_ID and _reset(frame, codes))


def pong(payload: bytes = bytes(8)) -> Expect:
    return _first(frames.PING, lambda frame: _is_pong(frame, payload))


def pong_or_close(payload: bytes = bytes(8)) -> Expect:
    return Expect(lambda event: True if event is None or _is_pong(event, payload) else None)


def sends(kind: int, size: int | None = None) -> Expect:
    return _first(kind, lambda frame: size is None or len(frame.payload) == size)


def _stream_ends(event: Frame | None) -> bool | None:
    if event is None:
        return False
    ends = event.kind in (frames.DATA, frames.HEADERS) and event.flags & END_STREAM
    return True if ends or _reset(event, (ErrorCode.NO_ERROR,)) else None


answers = Expect(lambda event: event.stream_id == STREAM_ID if event and event.kind == frames.HEADERS else None)
closes = Expect(lambda event: True if event is None else None)
stream_ends = Expect(_stream_ends)
announces = Expect(lambda event: event is not None and event.kind == frames.SETTINGS and not event.flags & ACK)


def _first(kind: int, is_right: Callable[[Frame], bool]) -> Expect:
    return Expect(lambda event: is_right(event) if event and event.kind == kind else None)


acknowledges = _first(frames.SETTINGS, lambda frame: bool(frame.flags & ACK))


def _goaway(frame: Frame, codes: Sequence[ErrorCode]) -> bool:
    return frame.kind == frames.GOAWAY and frames.read_word(frame.payload, 4) in codes


def _reset(frame: Frame, codes: Sequence[ErrorCode]) -> bool:
    return frame.kind == frames.RST_STREAM and frames.read_word(frame.payload) in codes


def _is_pong(frame: Frame, payload: bytes) -> bool:
    return frame.kind == frames.PING and bool(frame.flags & ACK) and frame.payload == payload
