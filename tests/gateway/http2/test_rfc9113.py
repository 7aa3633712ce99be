"""RFC 9113, section by section, as a server. Among the cases are those that h2spec 2.6 lists."""

# ruff: noqa: E501 - one case a line is a table

from gateway.http2 import frames
from gateway.http2.frames import PREFACE, ErrorCode, Setting
from gateway.http2.limits import Limits
from tests.gateway.http2.cases import Case, answers, cancels, ends, parametrized, passes, resets_stream, run, sends
from tests.gateway.http2.raw_peer import (
    ACK,
    ALL,
    END_HEADERS,
    END_STREAM,
    HAS_PRIORITY,
    PADDED,
    REQUEST,
    SETTINGS_ACK,
    TRAILERS,
    Frame,
    RawPeer,
    block,
    continuation,
    data,
    headers,
    ping,
    priority,
    raw_headers,
    settings,
    window,
)

PROTOCOL_ERROR = ends(ErrorCode.PROTOCOL_ERROR)
FRAME_SIZE_ERROR = ends(ErrorCode.FRAME_SIZE_ERROR)
FLOW_CONTROL_ERROR = ends(ErrorCode.FLOW_CONTROL_ERROR)
COMPRESSION_ERROR = ends(ErrorCode.COMPRESSION_ERROR)
CLOSED = ends(ErrorCode.STREAM_CLOSED)
STREAM_CLOSED = resets_stream(ErrorCode.STREAM_CLOSED)
MALFORMED = resets_stream(ErrorCode.PROTOCOL_ERROR)
FULL = frames.MAX_FRAME_BYTES
MAX = frames.MAX_WINDOW_BYTES
BLOCK = block(REQUEST)
ENDED = headers(flags=ALL)
RST = frames.rst_stream(1, ErrorCode.CANCEL)
PRIORITY = b"\x00\x00\x00\x00\x0f"


def frame(kind: int, payload: bytes = b"", stream_id: int = 0, flags: int = 0) -> bytes:
    return frames.frame(kind, flags, stream_id, payload)


def malformed(*fields: tuple[bytes, bytes]) -> bytes:
    return headers(fields=[*REQUEST, *fields], flags=ALL)


def without(name: bytes) -> bytes:
    return headers(fields=[field for field in REQUEST if field[0] != name], flags=ALL)


PONG = Frame(frames.PING, ACK, 0, b"01234567")
CONNECTION = [
    Case("3.4", "preface and SETTINGS", [ENDED], passes(1)),
    Case("3.4", "an invalid preface", [b"INVALID CONNECTION PREFACE\r\n\r\n"], PROTOCOL_ERROR, opening=b""),
    Case("3.4", "a preface without SETTINGS", [PREFACE + ENDED], PROTOCOL_ERROR, opening=b""),
    Case("3.4", "a preface and an ACK", [PREFACE + SETTINGS_ACK], PROTOCOL_ERROR, opening=b""),
    Case("4.1", "a frame of unknown type", [frame(0x16, b"x" * 8), ping()], sends(PONG)),
    Case("4.1", "an undefined flag", [ping(flags=0x16 & ~ACK)], sends(PONG)),
    Case("4.1", "the reserved bit", [ping(stream_id=1 << 31)], sends(PONG)),
    Case("4.1", "the reserved bit of a stream", [headers(), data(1 << 31 | 1, flags=END_STREAM)], passes(1)),
    Case("4.2", "DATA of the maximum size", [headers(), data(payload=bytes(FULL))], passes(1)),
    Case("4.2", "DATA above the maximum size", [headers(), data(payload=bytes(FULL + 1))], FRAME_SIZE_ERROR),
    Case("4.2", "HEADERS above the maximum size", [raw_headers(bytes(FULL + 1))], FRAME_SIZE_ERROR),
    Case("4.2", "an unknown frame above the maximum size", [frame(0x16, bytes(FULL + 1))], FRAME_SIZE_ERROR),
    Case("4.3", "an invalid header block", [raw_headers(b"\x40\x01\x02")], COMPRESSION_ERROR),
    Case("4.3", "an invalid header block on a reset stream", [headers(), cancels, raw_headers(b"\x80")], COMPRESSION_ERROR),
    Case("4.3", "PRIORITY within a header block", [headers(flags=0), priority(), continuation(b"")], PROTOCOL_ERROR),
    Case("4.3", "another HEADERS within a header block", [headers(flags=0), headers(3)], PROTOCOL_ERROR),
    Case("4.3", "DATA within a header block", [headers(), headers(3, flags=0), data(1)], PROTOCOL_ERROR),
    Case("5.4.1", "an invalid PING", [ping(b"")], FRAME_SIZE_ERROR),
    Case("5.4.2", "a stream error costs no other stream", [headers(), headers(3), headers(1)], resets_stream(ErrorCode.PROTOCOL_ERROR)),
    Case("5.5", "an unknown extension frame", [frame(0xFF, b"unknown")], passes()),
    Case("5.5", "an unknown extension frame within a header block", [headers(flags=0), frame(0xFF)], PROTOCOL_ERROR),
    Case("7", "GOAWAY with an unknown code", [frame(frames.GOAWAY, bytes(4) + b"\0\0\0\xff"), ping()], sends(PONG)),
    Case("7", "RST_STREAM with an unknown code", [headers(), frames.rst_stream(1, 0xFF), ping()], sends(PONG)),
]  # fmt: skip

STREAMS = [
    Case("5.1", "idle: DATA", [data()], PROTOCOL_ERROR),
    Case("5.1", "idle: RST_STREAM", [RST], PROTOCOL_ERROR),
    Case("5.1", "idle: WINDOW_UPDATE", [frames.window_update(1, 100)], PROTOCOL_ERROR),
    Case("5.1", "idle: CONTINUATION", [continuation(BLOCK)], PROTOCOL_ERROR),
    Case("5.1", "idle: PRIORITY", [priority(), ENDED], passes(1)),
    Case("5.1", "half-closed: DATA", [ENDED, data()], STREAM_CLOSED),
    Case("5.1", "half-closed: HEADERS", [ENDED, ENDED], STREAM_CLOSED),
    Case("5.1", "half-closed: CONTINUATION", [ENDED, continuation(BLOCK)], PROTOCOL_ERROR),
    Case("5.1", "half-closed: WINDOW_UPDATE", [ENDED, frames.window_update(1, 100)], passes(1)),
    Case("5.1", "half-closed: PRIORITY", [ENDED, priority()], passes(1)),
    Case("5.1", "half-closed: RST_STREAM", [ENDED, RST], passes()),
    Case("5.1", "closed by RST_STREAM: DATA", [headers(), RST, data()], STREAM_CLOSED),
    Case("5.1", "closed by RST_STREAM: HEADERS", [headers(), RST, ENDED], CLOSED),
    Case("5.1", "closed by RST_STREAM: CONTINUATION", [headers(), RST, continuation(BLOCK)], PROTOCOL_ERROR),
    Case("5.1", "closed: DATA", [ENDED, answers, data()], STREAM_CLOSED),
    Case("5.1", "closed: HEADERS", [ENDED, answers, ENDED], CLOSED),
    Case("5.1", "closed: CONTINUATION", [ENDED, answers, continuation(BLOCK)], PROTOCOL_ERROR),
    Case("5.1", "closed: PRIORITY", [ENDED, answers, priority()], passes()),
    Case("5.1", "closed: RST_STREAM", [ENDED, answers, RST], passes()),
    Case("5.1", "closed: WINDOW_UPDATE", [ENDED, answers, frames.window_update(1, 100)], passes()),
    Case("5.1", "reset by us: anything", [headers(), cancels, data(), frames.window_update(1, 9), headers(fields=TRAILERS, flags=ALL), RST], resets_stream(ErrorCode.CANCEL)),
    Case("5.1.1", "an even stream id", [headers(2)], PROTOCOL_ERROR),
    Case("5.1.1", "a lower stream id", [headers(5), headers(3)], CLOSED),
    Case("5.1.1", "DATA on a stream id that was left out", [headers(5), data(3)], resets_stream(ErrorCode.STREAM_CLOSED, 3)),
    Case("5.1.2", "more streams than announced", [headers(1), headers(3), headers(5), headers(7)], resets_stream(ErrorCode.REFUSED_STREAM, 7)),
    Case("5.1.2", "a stream that ends makes room", [headers(1), headers(3), headers(5), RST, headers(7)], passes(3, 5, 7)),
    Case("5.3", "HEADERS that depend on themselves", [raw_headers(b"\0\0\0\1\x0f" + BLOCK, flags=ALL | HAS_PRIORITY)], MALFORMED),
    Case("5.3", "PRIORITY that depends on itself, idle", [priority(1, 1)], PROTOCOL_ERROR),
    Case("5.3", "PRIORITY that depends on itself, open", [headers(), priority(1, 1)], MALFORMED),
    Case("5.3.2", "PRIORITY, then a lower stream", [priority(7), ENDED], passes(1)),
    Case("5.3.2", "an exclusive dependency", [priority(1, 1 << 31 | 3), ENDED], passes(1)),
]  # fmt: skip

FRAMES = [
    Case("6.1", "DATA", [headers(), data(), data(flags=END_STREAM)], passes(1)),
    Case("6.1", "DATA with padding", [headers(), data(payload=b"\x03abc\0\0\0", flags=PADDED | END_STREAM)], passes(1)),
    Case("6.1", "DATA without content", [headers(), data(payload=b""), data(payload=b"", flags=END_STREAM)], passes(1)),
    Case("6.1", "DATA on stream 0", [data(0)], PROTOCOL_ERROR),
    Case("6.1", "DATA whose padding is too long", [headers(), data(payload=b"\x06abcde", flags=PADDED)], PROTOCOL_ERROR),
    Case("6.1", "DATA without its pad length", [headers(), data(payload=b"", flags=PADDED)], FRAME_SIZE_ERROR),
    Case("6.2", "HEADERS with padding", [raw_headers(b"\x02" + BLOCK + b"\0\0", flags=ALL | PADDED)], passes(1)),
    Case("6.2", "HEADERS with a priority", [raw_headers(PRIORITY + BLOCK, flags=ALL | HAS_PRIORITY)], passes(1)),
    Case("6.2", "HEADERS with both", [raw_headers(b"\x01" + PRIORITY + BLOCK + b"\0", flags=ALL | PADDED | HAS_PRIORITY)], passes(1)),
    Case("6.2", "HEADERS on stream 0", [headers(0)], PROTOCOL_ERROR),
    Case("6.2", "HEADERS whose padding is too long", [raw_headers(b"\xff" + BLOCK, flags=ALL | PADDED)], PROTOCOL_ERROR),
    Case("6.2", "HEADERS too short for a priority", [raw_headers(b"\0\0\0\0", flags=ALL | HAS_PRIORITY)], FRAME_SIZE_ERROR),
    Case("6.3", "PRIORITY on stream 0", [priority(0)], PROTOCOL_ERROR),
    Case("6.3", "PRIORITY of another size, open", [headers(), priority(size=4)], resets_stream(ErrorCode.FRAME_SIZE_ERROR)),
    Case("6.3", "PRIORITY of another size, idle", [priority(size=6)], FRAME_SIZE_ERROR),
    Case("6.4", "RST_STREAM", [headers(), RST], passes()),
    Case("6.4", "RST_STREAM on stream 0", [frames.rst_stream(0, 8)], PROTOCOL_ERROR),
    Case("6.4", "RST_STREAM of another size", [headers(), frame(frames.RST_STREAM, b"\0\0\0", 1)], FRAME_SIZE_ERROR),
    Case("6.5", "SETTINGS", [settings((Setting.MAX_CONCURRENT_STREAMS, 5))], sends(Frame(frames.SETTINGS, ACK, 0, b""))),
    Case("6.5", "SETTINGS with ACK and a payload", [frame(frames.SETTINGS, bytes(6), flags=ACK)], FRAME_SIZE_ERROR),
    Case("6.5", "SETTINGS on a stream", [frame(frames.SETTINGS, b"", 1)], PROTOCOL_ERROR),
    Case("6.5", "SETTINGS of another size", [frame(frames.SETTINGS, bytes(7))], FRAME_SIZE_ERROR),
    Case("6.5.2", "ENABLE_PUSH neither 0 nor 1", [settings((Setting.ENABLE_PUSH, 2))], PROTOCOL_ERROR),
    Case("6.5.2", "ENABLE_PUSH of a client", [settings((Setting.ENABLE_PUSH, 1))], passes()),
    Case("6.5.2", "INITIAL_WINDOW_SIZE above the maximum", [window(MAX + 1)], FLOW_CONTROL_ERROR),
    Case("6.5.2", "MAX_FRAME_SIZE below the minimum", [settings((Setting.MAX_FRAME_SIZE, FULL - 1))], PROTOCOL_ERROR),
    Case("6.5.2", "MAX_FRAME_SIZE above the maximum", [settings((Setting.MAX_FRAME_SIZE, 2**24))], PROTOCOL_ERROR),
    Case("6.5.2", "an unknown setting", [settings((0xFF, 1)), ping()], sends(PONG)),
    Case("6.5.3", "the last of several values counts", [settings((4, 100), (4, 1)), ENDED, answers], sends(Frame(frames.DATA, 0, 1, b"a"))),
    Case("6.5.3", "an ACK that nobody asked for", [SETTINGS_ACK, SETTINGS_ACK], passes()),
    Case("6.6", "PUSH_PROMISE", [headers(), frame(frames.PUSH_PROMISE, b"\0\0\0\2" + BLOCK, 1, END_HEADERS)], PROTOCOL_ERROR),
    Case("6.7", "PING", [ping()], sends(PONG)),
    Case("6.7", "PING with ACK is not answered", [ping(b"invalid.", ACK)], passes()),
    Case("6.7", "PING on a stream", [ping(stream_id=1)], PROTOCOL_ERROR),
    Case("6.7", "PING of another size", [ping(b"123456")], FRAME_SIZE_ERROR),
    Case("6.8", "GOAWAY", [frames.goaway(0, 0, b"debug"), ENDED], passes(1)),
    Case("6.8", "GOAWAY on a stream", [frame(frames.GOAWAY, bytes(8), 1)], PROTOCOL_ERROR),
    Case("6.8", "GOAWAY of another size", [frame(frames.GOAWAY, bytes(7))], FRAME_SIZE_ERROR),
    Case("6.9", "WINDOW_UPDATE of the connection", [frames.window_update(0, 1), ENDED], passes(1)),
    Case("6.9", "WINDOW_UPDATE of the connection by 0", [frames.window_update(0, 0)], PROTOCOL_ERROR),
    Case("6.9", "WINDOW_UPDATE of a stream by 0", [headers(), frames.window_update(1, 0)], MALFORMED),
    Case("6.9", "WINDOW_UPDATE of another size", [frame(frames.WINDOW_UPDATE, b"\0\0\1")], FRAME_SIZE_ERROR),
    Case("6.9", "WINDOW_UPDATE with the reserved bit", [headers(), frames.window_update(1, 1 << 31 | 5)], passes(1)),
    Case("6.9.1", "a window of one byte", [window(1), ENDED, answers], sends(Frame(frames.DATA, 0, 1, b"a"))),
    Case("6.9.1", "a connection's window above the maximum", [frames.window_update(0, MAX)], FLOW_CONTROL_ERROR),
    Case("6.9.1", "a stream's window above the maximum", [headers(), frames.window_update(1, MAX)], resets_stream(ErrorCode.FLOW_CONTROL_ERROR)),
    Case("6.9.1", "more than the stream's window", [headers(), *[data(payload=bytes(FULL))] * 5], resets_stream(ErrorCode.FLOW_CONTROL_ERROR)),
    Case("6.9.1", "more than the stream's window, padded", [headers(), *[data(payload=b"\0" + bytes(FULL - 1), flags=PADDED)] * 5], resets_stream(ErrorCode.FLOW_CONTROL_ERROR)),
    Case("6.9.1", "more than the connection's window at once", [headers(1) + headers(3) + b"".join(data(1 + n % 2 * 2, bytes(FULL)) for n in range(6))], FLOW_CONTROL_ERROR),
    Case("6.9.2", "a wider window reaches open streams", [window(0), ENDED, answers, window(1)], sends(Frame(frames.DATA, 0, 1, b"a"))),
    Case("6.9.2", "a window may become negative", [window(3), ENDED, answers, window(1), frames.window_update(1, 3)], sends(Frame(frames.DATA, 0, 1, b"ans"), Frame(frames.DATA, 0, 1, b"w"))),
    Case("6.9.2", "a wider window takes a stream above the maximum", [headers(), frames.window_update(1, MAX - 65_535), window(65_536)], FLOW_CONTROL_ERROR),
    Case("6.10", "a header block in many frames", [headers(flags=END_STREAM, fields=REQUEST[:1]), continuation(block(REQUEST[1:3]), flags=0), continuation(block(REQUEST[3:]))], passes(1)),
    Case("6.10", "CONTINUATION, then DATA", [headers(flags=0), continuation(b"", flags=0), data()], PROTOCOL_ERROR),
    Case("6.10", "CONTINUATION of another stream", [headers(flags=0), continuation(b"", 3)], PROTOCOL_ERROR),
    Case("6.10", "CONTINUATION on stream 0", [headers(flags=0), continuation(b"", 0)], PROTOCOL_ERROR),
    Case("6.10", "CONTINUATION behind a complete HEADERS", [headers(), continuation(BLOCK)], PROTOCOL_ERROR),
    Case("6.10", "CONTINUATION behind a complete CONTINUATION", [headers(flags=0), continuation(b""), continuation(BLOCK)], PROTOCOL_ERROR),
    Case("6.10", "CONTINUATION behind DATA", [headers(), data(), continuation(BLOCK)], PROTOCOL_ERROR),
    Case("10.5.1", "CONTINUATION without end", [headers(flags=0), *[continuation(b"", flags=0)] * 17], ends(ErrorCode.ENHANCE_YOUR_CALM)),
    Case("10.5.1", "a header block without end", [headers(flags=0), *[continuation(bytes(FULL), flags=0)] * 5], ends(ErrorCode.ENHANCE_YOUR_CALM)),
]  # fmt: skip

MESSAGES = [
    Case("8.1", "a request with trailers", [headers(), data(), headers(fields=TRAILERS, flags=ALL)], passes(1)),
    Case("8.1", "trailers that do not end the stream", [headers(), headers(fields=TRAILERS)], MALFORMED),
    Case("8.1", "an answer before the end of the request", [headers(), answers, data(), data(flags=END_STREAM)], resets_stream(ErrorCode.NO_ERROR)),
    Case("8.1.1", "content as long as content-length", [headers(fields=[*REQUEST, (b"content-length", b"7")]), data(flags=END_STREAM)], passes(1)),
    Case("8.1.1", "content in pieces as long as content-length", [headers(fields=[*REQUEST, (b"content-length", b"14")]), data(), data(), headers(fields=TRAILERS, flags=ALL)], passes(1)),
    Case("8.1.1", "content longer than content-length", [headers(fields=[*REQUEST, (b"content-length", b"1")]), data()], MALFORMED),
    Case("8.1.1", "content shorter than content-length", [headers(fields=[*REQUEST, (b"content-length", b"8")]), data(flags=END_STREAM)], MALFORMED),
    Case("8.1.1", "pieces that are not as long as content-length", [headers(fields=[*REQUEST, (b"content-length", b"15")]), data(), data(flags=END_STREAM)], MALFORMED),
    Case("8.1.1", "trailers before the end of the content", [headers(fields=[*REQUEST, (b"content-length", b"8")]), data(), headers(fields=TRAILERS, flags=ALL)], MALFORMED),
    Case("8.1.1", "no content where content-length says some", [malformed((b"content-length", b"1"))], MALFORMED),
    Case("8.2.1", "a field name in upper case", [malformed((b"X-Test", b"ok"))], MALFORMED),
    Case("8.2.1", "a field value with a line break", [malformed((b"x", b"a\r\nb: c"))], MALFORMED),
    Case("8.2.2", "a field that concerns the connection", [malformed((b"connection", b"keep-alive"))], MALFORMED),
    Case("8.2.2", "te other than trailers", [malformed((b"trailers", b"test"), (b"te", b"trailers, deflate"))], MALFORMED),
    Case("8.3", "an unknown pseudo-header field", [malformed((b":test", b"ok"))], MALFORMED),
    Case("8.3", "a pseudo-header field of responses", [malformed((b":status", b"200"))], MALFORMED),
    Case("8.3", "a pseudo-header field in trailers", [headers(), headers(fields=[(b":method", b"GET")], flags=ALL)], MALFORMED),
    Case("8.3", "a pseudo-header field behind another field", [headers(fields=[(b"x", b"y"), *REQUEST])], MALFORMED),
    Case("8.3.1", "an empty :path", [headers(fields=[*REQUEST[:2], (b":path", b"")])], MALFORMED),
    Case("8.3.1", "no :method", [without(b":method")], MALFORMED),
    Case("8.3.1", "no :scheme", [without(b":scheme")], MALFORMED),
    Case("8.3.1", "no :path", [without(b":path")], MALFORMED),
    Case("8.3.1", "no :authority", [without(b":authority")], passes(1)),
    Case("8.3.1", "two :method", [headers(fields=[REQUEST[0], *REQUEST])], MALFORMED),
    Case("8.3.1", "two :scheme", [headers(fields=[REQUEST[1], *REQUEST])], MALFORMED),
    Case("8.3.1", "two :path", [headers(fields=[REQUEST[2], *REQUEST])], MALFORMED),
    Case("8.3.1", "host other than :authority", [malformed((b"host", b"other"))], MALFORMED),
    Case("8.5", "CONNECT with a path", [headers(fields=[(b":method", b"CONNECT"), *REQUEST[2:]])], MALFORMED),
]  # fmt: skip


@parametrized(CONNECTION)
def test_starting_frames_and_errors(case: Case) -> None:
    run(case, RawPeer(opening=case.opening))


@parametrized(STREAMS)
def test_streams(case: Case) -> None:
    run(case, RawPeer(limits=Limits(streams=3)))


@parametrized(FRAMES)
def test_frame_definitions(case: Case) -> None:
    limits = Limits(stream_window_bytes=65_535, connection_window_bytes=90_000)
    run(case, RawPeer(limits=limits))


@parametrized(MESSAGES)
def test_messages(case: Case) -> None:
    run(case, RawPeer())
