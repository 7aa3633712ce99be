"""Frames on the wire (RFC 9113, sections 4 and 6)."""

from collections.abc import Callable, Iterable
from enum import IntEnum
from struct import Struct
from typing import Final

from gateway.errors import Limit

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES: Final = 9
PRIORITY_BYTES: Final = 5
"""Of a PRIORITY frame, and at the front of HEADERS with HAS_PRIORITY."""
MAX_FRAME_BYTES: Final = 16_384
"""The smallest maximum that a peer may have (6.5.2). We announce it ourselves, so that every frame we receive may be
forwarded as it is, and never send a longer one."""
MAX_STREAM_ID: Final = 2**31 - 1
MAX_WINDOW_BYTES: Final = 2**31 - 1
DEFAULT_WINDOW_BYTES: Final = 65_535
HEADER: Final = Struct(">HBBBI")
"""Length (16 high bits, 8 low bits), type, flags, stream id (its top bit is reserved)."""
HEAD: Final = Struct(">IBI")
"""The same nine bytes for those in a hurry: length and type as one number, flags, stream id."""
read_head: Final[Callable[[bytes, int], tuple[int, int, int]]] = HEAD.unpack_from

DATA_HEADS: Final = [(size << 8).to_bytes(4, "big") + b"\x00" for size in range(MAX_FRAME_BYTES + 1)]
"""How DATA without flags begins, up to the stream id, by the length of its payload: every token asks."""

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

_SETTING: Final = Struct(">HI")
_WORD: Final = Struct(">I")
_WINDOW_UPDATE: Final = Struct(">HBBBII")
_RST_STREAM: Final = _WINDOW_UPDATE


class ErrorCode(IntEnum):
    """RFC 9113, section 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Setting(IntEnum):
    """RFC 9113, section 6.5.2."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6


class ConnectionFault(Exception):
    """The peer broke a rule that ends the connection (5.4.1)."""

    def __init__(self, code: ErrorCode, message: str, limit: Limit | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.limit = limit


class StreamFault(Exception):
    """The peer broke a rule that ends one stream (5.4.2)."""

    def __init__(self, stream_id: int, code: ErrorCode, message: str, limit: Limit | None = None) -> None:
        super().__init__(message)
        self.limit = limit
        self.stream_id = stream_id
        self.code = code
        self.message = message


def head(kind: int, flags: int, stream_id: int, size: int) -> bytes:
    return HEAD.pack(size << 8 | kind, flags, stream_id)


def frame(kind: int, flags: int, stream_id: int, payload: bytes | memoryview = b"") -> bytes:
    return head(kind, flags, stream_id, len(payload)) + payload


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(key, value) for key, value in values))


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    return list(_SETTING.iter_unpack(payload))


def window_update(stream_id: int, increment_bytes: int) -> bytes:
    return _WINDOW_UPDATE.pack(0, 4, WINDOW_UPDATE, 0, stream_id, increment_bytes)


def rst_stream(stream_id: int, code: int) -> bytes:
    return _RST_STREAM.pack(0, 4, RST_STREAM, 0, stream_id, code)


def goaway(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, _WORD.pack(last_stream_id) + _WORD.pack(code) + debug)


def read_word(payload: bytes, offset: int = 0) -> int:
    word: int = _WORD.unpack_from(payload, offset)[0]
    return word


def read_stream_id(payload: bytes, offset: int = 0) -> int:
    """Return a stream id without its reserved bit (4.1), or a priority's dependency without its exclusive one."""
    return read_word(payload, offset) & MAX_STREAM_ID


def header_block(stream_id: int, block: bytes, *, end_stream: bool) -> bytes:
    """Return HEADERS and as many CONTINUATION frames as the block needs, contiguous (4.3)."""
    flags = END_STREAM if end_stream else 0
    if len(block) <= MAX_FRAME_BYTES:
        return frame(HEADERS, flags | END_HEADERS, stream_id, block)
    pieces = [block[i : i + MAX_FRAME_BYTES] for i in range(0, len(block), MAX_FRAME_BYTES)]
    wire = [frame(HEADERS, flags, stream_id, pieces[0])]
    wire += [frame(CONTINUATION, 0, stream_id, piece) for piece in pieces[1:-1]]
    wire.append(frame(CONTINUATION, END_HEADERS, stream_id, pieces[-1]))
    return b"".join(wire)


def unpadded(flags: int, payload: bytes) -> bytes:
    """Return the payload of a DATA or HEADERS frame without its padding (6.1)."""
    if not flags & PADDED:
        return payload
    if not payload:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "a padded frame without a pad length")
    padding = payload[0]
    if padding >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "padding is longer than the frame")
    return payload[1 : len(payload) - padding]
