"""RFC 7540, by section."""

# ruff: noqa: E501 - one case a line is a table

from gateway.http2 import frames
from gateway.http2.frames import ErrorCode, Setting
from tests.conformance.script import (
    LONG,
    OPENING,
    STREAM_ID,
    Case,
    Fields,
    Player,
    Send,
    acknowledges,
    announces,
    answers,
    closes,
    common,
    connection_error,
    continued,
    data,
    fields,
    goes_away,
    pong,
    pong_or_close,
    post,
    priority,
    raw,
    request,
    resets,
    sends,
    stream_ends,
    stream_error,
    window,
)
from tests.gateway.http2.raw_peer import ACK, ALL, END_HEADERS, END_STREAM, HAS_PRIORITY, PADDED, ping

PROTOCOL_ERROR = connection_error(ErrorCode.PROTOCOL_ERROR)
FRAME_SIZE_ERROR = connection_error(ErrorCode.FRAME_SIZE_ERROR)
FLOW_CONTROL_ERROR = connection_error(ErrorCode.FLOW_CONTROL_ERROR)
COMPRESSION_ERROR = connection_error(ErrorCode.COMPRESSION_ERROR)
CLOSED = stream_error(ErrorCode.STREAM_CLOSED)
CLOSED_OR_PROTOCOL = stream_error(ErrorCode.STREAM_CLOSED, ErrorCode.PROTOCOL_ERROR)
MALFORMED = stream_error(ErrorCode.PROTOCOL_ERROR)
BAD_SIZE = stream_error(ErrorCode.FRAME_SIZE_ERROR)

PING = ping(bytes(8))
NAMED = b"h2spec\0\0"
RST = frames.rst_stream(STREAM_ID, ErrorCode.CANCEL)
OPEN = request(flags=END_HEADERS)
UNFINISHED = request(flags=0)
UNFINISHED_END = request(flags=END_STREAM)
UNKNOWN = raw(0x16, bytes(8))
BAD_PING = ping(bytes(8), stream_id=3)
WIDEST = frames.MAX_WINDOW_BYTES
LONG_LIST = [(f"x-dummy{number}", LONG[1]) for number in range(5)]


def full_data(above: int) -> Send:
    """DATA of the most that the server takes in one frame, and so many bytes more, where a frame can hold them."""

    def send(player: Player) -> bytes:
        size = player.settings.get(Setting.MAX_FRAME_SIZE, frames.MAX_FRAME_BYTES) + above
        return data(b"x" * size) if size < 2**24 else b""

    return send


def too_many(player: Player) -> bytes:
    """One request more than the server takes at a time. A server that sets no limit (we set one) is asked for one."""
    block = player.encoder.encode(common(player))
    count = player.settings.get(Setting.MAX_CONCURRENT_STREAMS, 0) + 1
    return b"".join(frames.frame(frames.HEADERS, ALL, 1 + 2 * number, block) for number in range(count))


def depends_on_itself(player: Player) -> bytes:
    block = player.encoder.encode(common(player))
    return frames.frame(frames.HEADERS, ALL | HAS_PRIORITY, STREAM_ID, b"\0\0\0\x01\xff" + block)


def padded_too_much(player: Player) -> bytes:
    block = player.encoder.encode(common(player))
    padding = bytes((len(block) + 2,))
    return frames.frame(frames.HEADERS, ALL | PADDED, STREAM_ID, padding + block)


def again(player: Player) -> bytes:
    """The same HEADERS once more."""
    return request()(player)


def without(*names: str) -> Send:
    return lambda player: fields(*[field for field in common(player) if field[0] not in names])(player)


def behind(*first: tuple[str, str]) -> Send:
    return lambda player: fields(*first, *common(player))(player)


def with_fields(*more: tuple[str, str]) -> Send:
    return request(more=more)


def of_length(length: str) -> Send:
    return post(more=[("content-length", length)])


def promise(player: Player) -> bytes:
    block = player.encoder.encode(common(player))
    return frames.frame(frames.PUSH_PROMISE, END_HEADERS, STREAM_ID, b"\0\0\0\x03" + block)


def setting(key: int, value: int) -> bytes:
    return frames.settings([(key, value)])


LENGTH_4: Fields = [("content-length", "4")]
FRAMES = [
    Case("http2/3.5/1", "a client's preface", [OPENING, announces], opens=False),
    Case("http2/3.5/2", "an invalid preface", [b"INVALID CONNECTION PREFACE\r\n\r\n", PROTOCOL_ERROR], opens=False),
    Case("http2/4.1/1", "a frame of unknown type", [UNKNOWN, PING, pong()]),
    Case("http2/4.1/2", "an undefined flag", [ping(bytes(8), 0x16), sends(frames.PING)]),
    Case("http2/4.1/3", "the reserved bit", [ping(bytes(8), 0x16, 1 << 31), sends(frames.PING)]),
    Case("http2/4.2/1", "DATA of the largest size", [post(), full_data(0), answers]),
    Case("http2/4.2/2", "DATA above it", [post(), full_data(1), BAD_SIZE]),
    Case("http2/4.2/3", "HEADERS above it", [request(more=LONG_LIST), FRAME_SIZE_ERROR]),
    Case("http2/4.3/1", "an invalid header block", [raw(frames.HEADERS, b"\x40", 1, ALL), COMPRESSION_ERROR]),
    Case("http2/4.3/2", "PRIORITY within a header block", [UNFINISHED, priority(), continued(), PROTOCOL_ERROR]),
    Case("http2/4.3/3", "another HEADERS within a header block", [UNFINISHED, request(3), continued(), PROTOCOL_ERROR]),
]

STREAMS = [
    Case("http2/5.1/1", "idle: DATA", [data(), CLOSED_OR_PROTOCOL]),
    Case("http2/5.1/2", "idle: RST_STREAM", [RST, PROTOCOL_ERROR]),
    Case("http2/5.1/3", "idle: WINDOW_UPDATE", [frames.window_update(1, 100), PROTOCOL_ERROR]),
    Case("http2/5.1/4", "idle: CONTINUATION", [fields(("x", "y"), kind=frames.CONTINUATION), PROTOCOL_ERROR]),
    Case("http2/5.1/5", "half-closed: DATA", [request(), data(), CLOSED]),
    Case("http2/5.1/6", "half-closed: HEADERS", [request(), again, CLOSED]),
    Case("http2/5.1/7", "half-closed: CONTINUATION", [request(), continued(), CLOSED_OR_PROTOCOL]),
    Case("http2/5.1/8", "closed by RST_STREAM: DATA", [OPEN, RST, data(), CLOSED]),
    Case("http2/5.1/9", "closed by RST_STREAM: HEADERS", [OPEN, RST, again, CLOSED]),
    Case("http2/5.1/10", "closed by RST_STREAM: CONTINUATION", [OPEN, RST, continued(), CLOSED_OR_PROTOCOL]),
    Case("http2/5.1/11", "closed: DATA", [request(), stream_ends, data(), CLOSED]),
    Case("http2/5.1/12", "closed: HEADERS", [request(), stream_ends, again, connection_error(ErrorCode.STREAM_CLOSED)]),
    Case("http2/5.1/13", "closed: CONTINUATION", [request(), stream_ends, continued(), connection_error(ErrorCode.STREAM_CLOSED, ErrorCode.PROTOCOL_ERROR)]),
    Case("http2/5.1.1/1", "an even stream id", [request(2), PROTOCOL_ERROR]),
    Case("http2/5.1.1/2", "a lower stream id", [request(5), request(3), PROTOCOL_ERROR]),
    Case("http2/5.1.2/1", "too many streams", [window(0), too_many, stream_error(ErrorCode.PROTOCOL_ERROR, ErrorCode.REFUSED_STREAM)]),
    Case("http2/5.3.1/1", "HEADERS that depend on themselves", [depends_on_itself, MALFORMED]),
    Case("http2/5.3.1/2", "PRIORITY that depends on itself", [priority(1, 1), MALFORMED]),
    Case("http2/5.4.1/1", "a connection error closes", [BAD_PING, closes]),
    Case("http2/5.4.1/2", "and says why", [BAD_PING, sends(frames.GOAWAY)]),
    Case("http2/5.5/1", "an unknown extension", [UNKNOWN, PING, pong()]),
    Case("http2/5.5/2", "an unknown extension within a header block", [UNFINISHED_END, UNKNOWN, PROTOCOL_ERROR]),
]  # fmt: skip

DEFINITIONS = [
    Case("http2/6.1/1", "DATA on stream 0", [data(stream_id=0), PROTOCOL_ERROR]),
    Case("http2/6.1/2", "DATA where none may come", [post(flags=ALL), data(), CLOSED]),
    Case("http2/6.1/3", "DATA with too much padding", [post(more=LENGTH_4), raw(frames.DATA, b"\x06test", 1, END_STREAM | PADDED), PROTOCOL_ERROR]),
    Case("http2/6.2/1", "HEADERS, then PRIORITY", [UNFINISHED, priority(), continued(), PROTOCOL_ERROR]),
    Case("http2/6.2/2", "HEADERS, then HEADERS", [UNFINISHED, request(3), continued(), PROTOCOL_ERROR]),
    Case("http2/6.2/3", "HEADERS on stream 0", [request(0), PROTOCOL_ERROR]),
    Case("http2/6.2/4", "HEADERS with too much padding", [padded_too_much, MALFORMED]),
    Case("http2/6.3/1", "PRIORITY on stream 0", [priority(0), PROTOCOL_ERROR]),
    Case("http2/6.3/2", "PRIORITY of 4 bytes", [request(), raw(frames.PRIORITY, b"\x80\0\0\x01", 1), BAD_SIZE]),
    Case("http2/6.4/1", "RST_STREAM on stream 0", [frames.rst_stream(0, 8), PROTOCOL_ERROR]),
    Case("http2/6.4/2", "RST_STREAM, idle", [RST, PROTOCOL_ERROR]),
    Case("http2/6.4/3", "RST_STREAM of 3 bytes", [request(), raw(frames.RST_STREAM, bytes(3), 1), BAD_SIZE]),
    Case("http2/6.5/1", "an ACK with a payload", [raw(frames.SETTINGS, b"\0", flags=ACK), FRAME_SIZE_ERROR]),
    Case("http2/6.5/2", "SETTINGS on a stream", [raw(frames.SETTINGS, b"\0\x03\0\0\0\x64", 1), PROTOCOL_ERROR]),
    Case("http2/6.5/3", "SETTINGS of 3 bytes", [raw(frames.SETTINGS, b"\0\x03\0"), stream_error(ErrorCode.PROTOCOL_ERROR, ErrorCode.FRAME_SIZE_ERROR)]),
    Case("http2/6.5.2/1", "ENABLE_PUSH of 2", [setting(Setting.ENABLE_PUSH, 2), PROTOCOL_ERROR]),
    Case("http2/6.5.2/2", "INITIAL_WINDOW_SIZE of 2^31", [window(2**31), FLOW_CONTROL_ERROR]),
    Case("http2/6.5.2/3", "MAX_FRAME_SIZE of 16,383", [setting(Setting.MAX_FRAME_SIZE, 16_383), PROTOCOL_ERROR]),
    Case("http2/6.5.2/4", "MAX_FRAME_SIZE of 2^24", [setting(Setting.MAX_FRAME_SIZE, 2**24), PROTOCOL_ERROR]),
    Case("http2/6.5.2/5", "an unknown setting", [setting(0xFF, 1), PING, pong()]),
    Case("http2/6.5.3/1", "the last of two values holds", [frames.settings([(4, 100), (4, 1)]), acknowledges, request(), sends(frames.DATA, 1)]),
    Case("http2/6.5.3/2", "SETTINGS are acknowledged", [setting(Setting.ENABLE_PUSH, 0), acknowledges]),
    Case("http2/6.7/1", "PING", [ping(NAMED), pong(NAMED)]),
    Case("http2/6.7/2", "an ACK that nobody waits for", [ping(b"invalid\0", ACK), ping(NAMED), pong(NAMED)]),
    Case("http2/6.7/3", "PING on a stream", [ping(bytes(8), stream_id=1), PROTOCOL_ERROR]),
    Case("http2/6.7/4", "PING of 6 bytes", [ping(bytes(6)), FRAME_SIZE_ERROR]),
    Case("http2/6.8/1", "GOAWAY on a stream", [raw(frames.GOAWAY, bytes(8), 1), PROTOCOL_ERROR]),
    Case("http2/6.9/1", "WINDOW_UPDATE of 0, connection", [frames.window_update(0, 0), PROTOCOL_ERROR]),
    Case("http2/6.9/2", "WINDOW_UPDATE of 0, stream", [OPEN, frames.window_update(1, 0), MALFORMED]),
    Case("http2/6.9/3", "WINDOW_UPDATE of 3 bytes", [raw(frames.WINDOW_UPDATE, b"\0\0\x01"), FRAME_SIZE_ERROR]),
    Case("http2/6.9.1/1", "a window of 1", [window(1), acknowledges, request(), sends(frames.DATA, 1)]),
    Case("http2/6.9.1/2", "a window above 2^31-1, connection", [frames.window_update(0, WIDEST) * 2, goes_away(ErrorCode.FLOW_CONTROL_ERROR)]),
    Case("http2/6.9.1/3", "a window above 2^31-1, stream", [OPEN, frames.window_update(1, WIDEST) * 2, resets(ErrorCode.FLOW_CONTROL_ERROR)]),
    Case("http2/6.9.2/1", "a window that changes", [window(0), acknowledges, request(), window(1), sends(frames.DATA, 1)]),
    Case("http2/6.9.2/2", "a window that becomes negative", [window(3), acknowledges, request(), sends(frames.DATA), window(2), acknowledges, frames.window_update(1, 2), sends(frames.DATA, 1)]),
    Case("http2/6.9.2/3", "INITIAL_WINDOW_SIZE of 2^31", [window(2**31), FLOW_CONTROL_ERROR]),
    Case("http2/6.10/1", "CONTINUATION, twice", [UNFINISHED_END, continued(flags=0), continued(), answers]),
    Case("http2/6.10/2", "CONTINUATION, then DATA", [post(flags=0), continued(flags=0), data(), PROTOCOL_ERROR]),
    Case("http2/6.10/3", "CONTINUATION on stream 0", [UNFINISHED_END, continued(0), PROTOCOL_ERROR]),
    Case("http2/6.10/4", "CONTINUATION behind END_HEADERS", [request(), continued(), PROTOCOL_ERROR]),
    Case("http2/6.10/5", "CONTINUATION behind CONTINUATION and END_HEADERS", [UNFINISHED_END, continued(), continued(), PROTOCOL_ERROR]),
    Case("http2/6.10/6", "CONTINUATION behind DATA", [post(flags=0), data(), continued(flags=0), continued(0), PROTOCOL_ERROR]),
    Case("http2/7/1", "GOAWAY with an unknown code", [frames.goaway(0, 0xFF), ping(NAMED), pong_or_close(NAMED)]),
    Case("http2/7/2", "RST_STREAM with an unknown code", [post(), frames.rst_stream(1, 0xFF), PING, pong_or_close()]),
]  # fmt: skip

MESSAGES = [
    Case("http2/8.1/1", "trailers that do not end the stream", [post(), data(flags=0), fields(("x-test", "ok"), flags=END_HEADERS), MALFORMED]),
    Case("http2/8.1.2/1", "a name in upper case", [with_fields(("X-TEST", "ok")), MALFORMED]),
    Case("http2/8.1.2.1/1", "an unknown pseudo-header field", [with_fields((":test", "ok")), MALFORMED]),
    Case("http2/8.1.2.1/2", "a pseudo-header field of responses", [with_fields((":status", "200")), MALFORMED]),
    Case("http2/8.1.2.1/3", "a pseudo-header field in trailers", [post(), data(flags=0), fields((":method", "POST"), flags=END_HEADERS), MALFORMED]),
    Case("http2/8.1.2.1/4", "a pseudo-header field behind others", [behind(("x-test", "ok")), MALFORMED]),
    Case("http2/8.1.2.2/1", "a field of the connection", [with_fields(("connection", "keep-alive")), MALFORMED]),
    Case("http2/8.1.2.2/2", "te other than trailers", [with_fields(("trailers", "test"), ("te", "trailers, deflate")), MALFORMED]),
    Case("http2/8.1.2.3/1", "an empty path", [fields((":method", "GET"), (":scheme", "http"), (":path", ""), (":authority", "a")), MALFORMED]),
    Case("http2/8.1.2.3/2", "no method", [without(":method", ":scheme"), MALFORMED]),
    Case("http2/8.1.2.3/3", "no scheme", [without(":scheme"), MALFORMED]),
    Case("http2/8.1.2.3/4", "no path", [without(":path"), MALFORMED]),
    Case("http2/8.1.2.3/5", "two methods", [with_fields((":method", "GET")), MALFORMED]),
    Case("http2/8.1.2.3/6", "two schemes", [with_fields((":scheme", "http")), MALFORMED]),
    Case("http2/8.1.2.3/7", "two paths", [with_fields((":path", "/")), MALFORMED]),
    Case("http2/8.1.2.6/1", "content-length, one frame", [of_length("1"), data(), MALFORMED]),
    Case("http2/8.1.2.6/2", "content-length, two frames", [of_length("1"), data(flags=0), data(), MALFORMED]),
    Case("http2/8.2/1", "PUSH_PROMISE", [promise, PROTOCOL_ERROR]),
]  # fmt: skip

CASES = [*FRAMES, *STREAMS, *DEFINITIONS, *MESSAGES]
