"""Header fields: HPACK (RFC 7541) and the rules for messages (RFC 9113, section 8).

We keep no dynamic table in either direction: our encoder uses the static table and literals only, and we announce a
table of 0 bytes. So, once the peer has obeyed, a block means the same on every connection, and both encoding and
decoding are dictionary look-ups (docs/decisions/0003).
"""

from collections.abc import Sequence
from typing import cast

from hpack import Decoder, Encoder, HPACKError
from hpack.exceptions import OversizedHeaderListError
from hpack.struct import NeverIndexedHeaderTuple

from gateway.http2.frames import ConnectionFault, ErrorCode

Field = tuple[bytes, bytes]
Fields = Sequence[Field]

EMPTY_TABLE = b"\x20"
"""Dynamic table size update to 0 (RFC 7541, 6.3): opens the first block that we send on a connection."""

_CACHED_BLOCK_BYTES = 512
"""Longer blocks carry metadata of their own and would not be met again."""
_CACHED_BLOCKS = 4_096
_CACHED_FIELDS = 4_096
_FORBIDDEN = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_REQUEST_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")
_FORBIDDEN_IN_VALUES = frozenset(b"\x00\r\n")


class MalformedMessage(Exception):
    """A header list that ends its stream with PROTOCOL_ERROR (8.1.1)."""


class BlockCache:
    """What header blocks mean that use no dynamic table: the same on every connection."""

    def __init__(self) -> None:
        self.blocks: dict[bytes, list[Field]] = {}

    def keep(self, block: bytes, fields: list[Field]) -> None:
        if len(block) > _CACHED_BLOCK_BYTES or any(isinstance(f, NeverIndexedHeaderTuple) for f in fields):
            return
        if len(self.blocks) >= _CACHED_BLOCKS:
            self.blocks.clear()
        self.blocks[block] = fields


class HeaderDecoder:
    """Decodes the blocks of one connection. A list above `max_list_bytes` (RFC 9113, 10.5.1: names, values and 32
    bytes each) ends the connection, since the table is then out of step with the peer's."""

    def __init__(self, cache: BlockCache, max_list_bytes: int) -> None:
        self._decoder = Decoder(max_header_list_size=max_list_bytes)
        self._cache = cache
        self._is_stateless = False

    def decode(self, block: bytes) -> list[Field]:
        """Raises ConnectionFault."""
        if self._is_stateless:
            known = self._cache.blocks.get(block)
            if known is not None:
                return known
        try:
            fields = cast(list[Field], self._decoder.decode(block, raw=True))
        except OversizedHeaderListError as error:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header list is too large") from error
        except (HPACKError, UnicodeDecodeError) as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"header block: {error}") from error
        if self._is_stateless:
            self._cache.keep(block, fields)
        elif self._decoder.max_allowed_table_size == 0 and self._decoder.header_table_size == 0:
            self._is_stateless = True
        return fields

    def forbid_table(self) -> None:
        """The peer has acknowledged that our table has 0 bytes."""
        self._decoder.max_allowed_table_size = 0


class HeaderEncoder:
    """Encodes without a dynamic table; one serves all connections. The first block of each begins with EMPTY_TABLE."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        self._encoder.header_table_size = 0
        self._encoder.encode([])
        self._known: dict[Field, bytes] = {}

    def encode(self, fields: Fields) -> bytes:
        known = self._known
        pieces: list[bytes] = []
        for field in fields:
            piece = known.get(field)
            pieces.append(self._encode(field) if piece is None else piece)
        return b"".join(pieces)

    def _encode(self, field: Field) -> bytes:
        is_sensitive = isinstance(field, NeverIndexedHeaderTuple) or field[0] == b"authorization"
        piece = self._encoder.encode([(field[0], field[1], is_sensitive)])
        if not is_sensitive:
            if len(self._known) >= _CACHED_FIELDS:
                self._known.clear()
            self._known[field] = piece
        return piece


def list_bytes(fields: Fields) -> int:
    """Return the size of a header list as SETTINGS_MAX_HEADER_LIST_SIZE counts it (6.5.2)."""
    return sum(len(name) + len(value) + 32 for name, value in fields)


def check_request(fields: Fields) -> None:
    """Raise MalformedMessage unless these may begin a request (8.3.1)."""
    pseudo = _check_fields(fields, _REQUEST_PSEUDO)
    if pseudo.get(b":method") == b"CONNECT":
        if pseudo.keys() - {b":method", b":authority"}:
            raise MalformedMessage("CONNECT with a scheme or a path")
    elif not (pseudo.keys() >= {b":method", b":scheme", b":path"} and pseudo[b":path"]):
        raise MalformedMessage("a request without method, scheme or path")


def check_response(fields: Fields) -> None:
    """Raise MalformedMessage unless these may begin a response (8.3.2)."""
    status = _check_fields(fields, frozenset((b":status",))).get(b":status", b"")
    if len(status) != 3 or not status.isdigit():
        raise MalformedMessage("a response without a status")


def check_trailers(fields: Fields) -> None:
    """Raise MalformedMessage unless these may end a message (8.1)."""
    _check_fields(fields, frozenset())


def _check_fields(fields: Fields, allowed_pseudo: frozenset[bytes]) -> dict[bytes, bytes]:
    pseudo: dict[bytes, bytes] = {}
    is_regular = False
    for name, value in fields:
        if name.startswith(b":"):
            if is_regular or name in pseudo or name not in allowed_pseudo:
                raise MalformedMessage(f"pseudo-header field {name!r}")
            pseudo[name] = value
        else:
            is_regular = True
            if not name or not _TOKEN.issuperset(name) or name in _FORBIDDEN:
                raise MalformedMessage(f"header field {name!r}")
            if name == b"te" and value != b"trailers":
                raise MalformedMessage("te other than trailers")
        if not _FORBIDDEN_IN_VALUES.isdisjoint(value) or value != value.strip(b" \t"):
            raise MalformedMessage(f"value of header field {name!r}")
    return pseudo
