"""What every server has to accept."""

# ruff: noqa: E501 - one case a line is a table

from itertools import pairwise

from gateway.http2 import frames
from gateway.http2.frames import ErrorCode
from tests.conformance.script import (
    OPENING,
    STREAM_ID,
    Case,
    Player,
    Send,
    acknowledges,
    announces,
    answers,
    common,
    data,
    fields,
    pong,
    pong_or_close,
    post,
    priority,
    request,
    sends,
    stream_ends,
    window,
)
from tests.gateway.http2.raw_peer import ALL, END_HEADERS, HAS_PRIORITY, PADDED, ping

PING = ping(bytes(8))
NAMED = b"h2spec\0\0"
RST = frames.rst_stream(STREAM_ID, ErrorCode.CANCEL)
WIDER = frames.window_update(STREAM_ID, 1)
SOME_SETTINGS = frames.settings([(1, 4_096), (2, 1), (3, 100), (4, 65_535), (5, 16_384), (6, 100)])


def cut(*ends: int) -> Send:
    """A request whose block comes in HEADERS and CONTINUATION, cut at these places."""

    def send(player: Player) -> bytes:
        block = player.encoder.encode(common(player))
        pieces = [block[start:end] for start, end in pairwise([0, *ends, len(block)])]
        wire = frames.frame(frames.HEADERS, frames.END_STREAM, STREAM_ID, pieces[0])
        for piece in pieces[1:-1]:
            wire += frames.frame(frames.CONTINUATION, 0, STREAM_ID, piece)
        return wire + frames.frame(frames.CONTINUATION, END_HEADERS, STREAM_ID, pieces[-1])

    return send


def padded(player: Player) -> bytes:
    block = player.encoder.encode(common(player))
    return frames.frame(frames.HEADERS, ALL | PADDED, STREAM_ID, b"\x08" + block + bytes(8))


def with_priority(player: Player) -> bytes:
    block = player.encoder.encode(common(player))
    return frames.frame(frames.HEADERS, ALL | HAS_PRIORITY, STREAM_ID, b"\0\0\0\0\xff" + block)


def begins_with(updates: bytes) -> Send:
    """A block that begins with updates of the dynamic table's size."""
    return lambda player: frames.frame(frames.HEADERS, ALL, STREAM_ID, updates + player.encoder.encode(common(player)))


INDEXED_NAME = b"\x0auser-agent\x06h2spec"
INDEXED_NAME_HUFFMAN = b"\x87\xb5\x05\xb1\x61\xcc\x5a\x93\x84\x9c\x48\xac\xa4"
NEW_NAME = b"\x06x-test\x06h2spec"
NEW_NAME_HUFFMAN = b"\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4"

CASES = [
    Case("generic/1/1", "a client's preface", [OPENING, announces], opens=False),
    Case("generic/2/1", "PRIORITY, idle", [priority(), PING, pong()]),
    Case("generic/2/2", "WINDOW_UPDATE, half-closed", [window(0), request(), WIDER, sends(frames.DATA)]),
    Case("generic/2/3", "PRIORITY, half-closed", [window(0), request(), priority(), WIDER, sends(frames.DATA)]),
    Case("generic/2/4", "RST_STREAM, half-closed", [request(), RST, PING, pong_or_close()]),
    Case("generic/2/5", "PRIORITY, closed", [request(), stream_ends, priority(), PING, pong()]),
    Case("generic/3.1/1", "DATA", [post(), data(), answers]),
    Case("generic/3.1/2", "DATA, more of it", [post(), data(flags=0), data(), answers]),
    Case("generic/3.1/3", "DATA, padded", [post(), data(b"\x05test\0\0\0\0\0", frames.END_STREAM | PADDED), answers]),
    Case("generic/3.2/1", "HEADERS", [request(), answers]),
    Case("generic/3.2/2", "HEADERS, padded", [padded, answers]),
    Case("generic/3.2/3", "HEADERS with a priority", [with_priority, answers]),
    Case("generic/3.3/1", "PRIORITY of 1", [priority(weight=0), request(), answers]),
    Case("generic/3.3/2", "PRIORITY of 256", [priority(weight=255), request(), answers]),
    Case("generic/3.3/3", "PRIORITY with a dependency", [priority(3, STREAM_ID, 0), request(), answers]),
    Case("generic/3.3/4", "PRIORITY, exclusive", [priority(depends_on=1 << 31, weight=0), request(), answers]),
    Case("generic/3.3/5", "PRIORITY, then a lower stream", [priority(3), request(), answers]),
    Case("generic/3.4/1", "RST_STREAM", [request(flags=END_HEADERS), RST, PING, pong_or_close()]),
    Case("generic/3.5/1", "SETTINGS", [SOME_SETTINGS, acknowledges]),
    Case("generic/3.7/1", "PING", [ping(NAMED), pong(NAMED)]),
    Case("generic/3.8/1", "GOAWAY", [frames.goaway(0, 0, b"bye"), ping(NAMED), pong_or_close(NAMED)]),
    Case("generic/3.9/1", "WINDOW_UPDATE of the connection", [frames.window_update(0, 1), PING, pong()]),
    Case("generic/3.9/2", "WINDOW_UPDATE of a stream", [request(), WIDER, answers]),
    Case("generic/3.10/1", "CONTINUATION", [cut(5), answers]),
    Case("generic/3.10/2", "CONTINUATION, more of it", [cut(5, 10), answers]),
    Case("generic/4/1", "GET", [request(), answers]),
    Case("generic/4/2", "HEAD", [request(method="HEAD"), answers]),
    Case("generic/4/3", "POST", [post(), data(), answers]),
    Case("generic/4/4", "POST with trailers", [post(more=[("trailer", "x-test")]), data(flags=0), fields(("x-test", "ok")), answers]),
    Case("generic/5/1", "an indexed field", [request(tail=b"\xba"), answers]),
    Case("generic/5/2", "a literal to be indexed, indexed name, Huffman", [request(tail=b"\x40" + INDEXED_NAME_HUFFMAN), answers]),
    Case("generic/5/3", "a literal to be indexed, indexed name", [request(tail=b"\x40" + INDEXED_NAME), answers]),
    Case("generic/5/4", "a literal to be indexed, new name", [request(tail=b"\x40" + NEW_NAME), answers]),
    Case("generic/5/5", "a literal to be indexed, new name, Huffman", [request(tail=b"\x40" + NEW_NAME_HUFFMAN), answers]),
    Case("generic/5/6", "a literal, indexed name", [request(tail=b"\x00" + INDEXED_NAME), answers]),
    Case("generic/5/7", "a literal, indexed name, Huffman", [request(tail=b"\x00" + INDEXED_NAME_HUFFMAN), answers]),
    Case("generic/5/8", "a literal, new name", [request(tail=b"\x00" + NEW_NAME), answers]),
    Case("generic/5/9", "a literal, new name, Huffman", [request(tail=b"\x00" + NEW_NAME_HUFFMAN), answers]),
    Case("generic/5/10", "a literal never to be indexed, indexed name", [request(tail=b"\x10" + INDEXED_NAME), answers]),
    Case("generic/5/11", "a literal never to be indexed, indexed name, Huffman", [request(tail=b"\x10" + INDEXED_NAME_HUFFMAN), answers]),
    Case("generic/5/12", "a literal never to be indexed, new name", [request(tail=b"\x10" + NEW_NAME), answers]),
    Case("generic/5/13", "a literal never to be indexed, new name, Huffman", [request(tail=b"\x10" + NEW_NAME_HUFFMAN), answers]),
    Case("generic/5/14", "a table size update", [begins_with(b"\x3f\x61"), answers]),
    Case("generic/5/15", "two table size updates", [begins_with(b"\x3f\x61\x3f\xe1\x1f"), answers]),
]  # fmt: skip
