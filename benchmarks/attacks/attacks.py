"""What a hostile peer sends: for each connection, its first bytes and then what it goes on with."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, repeat

from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from gateway.errors import Limit
from gateway.http2 import frames
from gateway.http2.codec import HeaderEncoder
from gateway.http2.frames import END_HEADERS, END_STREAM, ErrorCode, Setting
from gateway.http2.headers import Fields
from gateway.rpc.framing import prefixed
from inference.v1 import inference_pb2 as pb

_FIELDS: Fields = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/inference.v1.Inference/Generate"),
    (b":authority", b"gateway"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
)
_ENCODER = HeaderEncoder()
_BLOCK = _ENCODER.encode(_FIELDS)
_BATCH = 50
"""Streams, or frames, in one write."""
_LONG = pb.SamplingParameters(max_tokens=20_000, ignore_eos=True)
_ENDLESS = prefixed(pb.GenerateRequest(text="hello", model="attacked", sampling=_LONG).SerializeToString())
_MIB = 1024 * 1024


def _open(stream_id: int, block: bytes = _BLOCK, flags: int = END_HEADERS) -> bytes:
    return frames.frame(frames.HEADERS, flags, stream_id, block)


def _ask(stream_id: int) -> bytes:
    """A request whose answer is long."""
    return _open(stream_id) + frames.frame(frames.DATA, END_STREAM, stream_id, _ENDLESS)


def _batches(one: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield what is sent for each new stream, many of them at once."""
    for first in count(1, 2 * _BATCH):
        yield b"".join(one(first + 2 * number) for number in range(_BATCH))


def _rapid_reset() -> Iterator[bytes]:
    return _batches(lambda stream_id: _open(stream_id) + frames.rst_stream(stream_id, ErrorCode.CANCEL))


def _made_you_reset() -> Iterator[bytes]:
    return _batches(lambda stream_id: _open(stream_id) + frames.window_update(stream_id, 0))


def _headers_that_never_end() -> Iterator[bytes]:
    yield _open(1, flags=0)
    yield from repeat(frames.frame(frames.CONTINUATION, 0, 1, b"\0\x01a\x01b") * _BATCH)


def _long_header_lists() -> Iterator[bytes]:
    block = _BLOCK + _ENCODER.encode([(b"x", b"v" * 12_000)])
    return _batches(lambda stream_id: _open(stream_id, block))


def _huffman() -> Iterator[bytes]:
    """Lists that are just short enough, and of what takes longest to decode."""
    coded = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(bytes(range(48, 123)) * 90)
    # A literal whose name is `x` and whose length takes three bytes (RFC 7541, 5.1).
    length = bytes((0xFF, (len(coded) - 127) & 0x7F | 0x80, (len(coded) - 127) >> 7))
    block = _BLOCK + b"\x00\x01x" + length + coded
    return _batches(lambda stream_id: _open(stream_id, block) + frames.rst_stream(stream_id, ErrorCode.CANCEL))


def _hpack_bomb() -> Iterator[bytes]:
    """A long field put into the table, then referred to again and again (CVE-2016-1544)."""
    block = _BLOCK + b"\x40\x01x\x7f\xa0\x1e" + b"v" * (127 + 0xF20) + b"\xbe" * 12_000
    return _batches(lambda stream_id: _open(stream_id, block[: frames.MAX_FRAME_BYTES]))


def _many_streams() -> Iterator[bytes]:
    """Requests that never end, and more of them than are allowed."""
    return _batches(lambda stream_id: _open(stream_id) + frames.frame(frames.DATA, 0, stream_id, _ENDLESS[:-1]))


def _large_requests() -> Iterator[bytes]:
    """Of each 15 MiB, all but the end."""
    prefix = b"\0" + (15 * _MIB).to_bytes(4, "big")
    part = frames.frame(frames.DATA, 0, 1, bytes(frames.MAX_FRAME_BYTES))
    for stream_id in count(1, 2):
        yield _open(stream_id) + frames.frame(frames.DATA, 0, stream_id, prefix)
        piece = part[:5] + stream_id.to_bytes(4, "big") + part[9:]
        for _ in range(15 * _MIB // frames.MAX_FRAME_BYTES - 1):
            yield piece


def _large_prompts() -> Iterator[bytes]:
    """Whole requests, each of 4 MiB, that the replica would read for minutes; each is given up once it has been sent on
    and the next one is there."""
    request = pb.GenerateRequest(text="x" * (4 * _MIB), model="attacked", sampling=_LONG)
    message = prefixed(request.SerializeToString())
    parts = [message[at : at + frames.MAX_FRAME_BYTES] for at in range(0, len(message), frames.MAX_FRAME_BYTES)]
    for stream_id in count(1, 2):
        yield _open(stream_id)
        for part in parts:
            yield frames.frame(frames.DATA, 0, stream_id, part)
        if stream_id > 1:
            yield frames.rst_stream(stream_id - 2, ErrorCode.CANCEL)


def _request_in_crumbs() -> Iterator[bytes]:
    """Of a request of 15 MiB, a byte in each frame: what it takes to keep them is more than they are."""
    yield _open(1) + frames.frame(frames.DATA, 0, 1, b"\0" + (15 * _MIB).to_bytes(4, "big"))
    yield from repeat(frames.frame(frames.DATA, 0, 1, b"x") * _BATCH)


def _byte_by_byte() -> Iterator[bytes]:
    yield b"".join(_ask(1 + 2 * number) for number in range(20))
    yield from repeat(b"".join(frames.window_update(1 + 2 * number, 1) for number in range(20)))


def _asked_and_unread() -> Iterator[bytes]:
    yield frames.window_update(0, 2**30) + b"".join(_ask(1 + 2 * number) for number in range(10))
    yield from repeat(b"")


def _trickle() -> Iterator[bytes]:
    yield b"".join(_open(1 + 2 * number) for number in range(100))
    yield from (frames.frame(frames.DATA, 0, 1 + 2 * (number % 100), b"\0") for number in count())


def _again(piece: bytes) -> Callable[[], Iterator[bytes]]:
    return lambda: repeat(piece * _BATCH)


def _on_a_stream(piece: bytes) -> Callable[[], Iterator[bytes]]:
    def attack() -> Iterator[bytes]:
        yield _open(1)
        yield from repeat(piece * _BATCH)

    return attack


@dataclass(frozen=True)
class Attack:
    """One connection goes on with `pieces` as fast as it can, until it is cut; then comes the next. With `held`, so
    many connections are kept open and get a piece each `pause_s`."""

    pieces: Callable[[], Iterator[bytes]]
    meets: Limit | None = None
    """What ends it, where something has to within seconds."""
    opening: bytes = frames.PREFACE + frames.settings([(Setting.INITIAL_WINDOW_SIZE, 2**30)])
    reads: bool = True
    held: int = 0
    pause_s: float = 0.1


_SMALL = frames.PREFACE + frames.settings([(Setting.INITIAL_WINDOW_SIZE, 1)])
_PING = frames.frame(frames.PING, 0, 0, bytes(8))
_PRIORITY = frames.frame(frames.PRIORITY, 0, 1, b"\0\0\0\0\x0f")

ATTACKS = {
    "rapid reset": Attack(_rapid_reset, Limit.RESETS),
    "made you reset": Attack(_made_you_reset, Limit.RESETS),
    "headers that never end": Attack(_headers_that_never_end, Limit.CONTINUATION_FRAMES),
    "long header lists": Attack(_long_header_lists, Limit.HEADER_BYTES),
    "Huffman": Attack(_huffman, Limit.HEADER_BYTES_RATE),
    "HPACK bomb": Attack(_hpack_bomb, Limit.HEADER_BYTES_HARD),
    "PING": Attack(_again(_PING), Limit.IDLE_FRAMES),
    "PING on many connections": Attack(_again(_PING * 20), Limit.IDLE_FRAMES, held=50, pause_s=0.0),
    "PING, answers unread": Attack(_again(_PING), Limit.IDLE_FRAMES, reads=False),
    "SETTINGS": Attack(_again(frames.settings([(Setting.INITIAL_WINDOW_SIZE, 100)])), Limit.SETTINGS_FRAMES),
    "PRIORITY": Attack(_again(_PRIORITY), Limit.IDLE_FRAMES),
    "empty DATA": Attack(_on_a_stream(frames.frame(frames.DATA, 0, 1)), Limit.IDLE_FRAMES),
    "WINDOW_UPDATE": Attack(_again(frames.window_update(0, 1)), Limit.IDLE_FRAMES),
    "byte by byte": Attack(_byte_by_byte, Limit.IDLE_FRAMES, opening=_SMALL),
    "garbage": Attack(lambda: repeat(b"\xff" * 4_096)),
    "many streams": Attack(_many_streams, Limit.STREAMS_PER_CONNECTION),
    "large requests": Attack(_large_requests),
    "large prompts": Attack(_large_prompts),
    "a request in crumbs": Attack(_request_in_crumbs),
    "answers unread": Attack(_asked_and_unread, reads=False, held=4),
    "requests that trickle": Attack(_trickle, held=4, pause_s=0.01),
    "no handshake": Attack(lambda: repeat(b""), opening=b"", held=500),
    "half a preface": Attack(lambda: repeat(b""), opening=frames.PREFACE[:10], held=500),
    "many connections": Attack(lambda: repeat(b""), held=500),
}
"""By what the peer does."""
