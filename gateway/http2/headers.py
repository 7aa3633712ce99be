"""Header fields and how they are coded: HPACK (RFC 7541).

We keep no dynamic table in either direction: our encoder uses the static table and literals only, and we announce a
table of 0 bytes. So, once the peer has obeyed, a block means the same on every connection: what has been decoded once
is found again in a dictionary, and encoding is concatenation (docs/decisions/0003).
"""

import re
from collections.abc import Sequence
from typing import cast

from hpack import Decoder, HPACKError
from hpack.exceptions import OversizedHeaderListError
from hpack.struct import NeverIndexedHeaderTuple
from hpack.table import HeaderTable

from gateway.http2.frames import ConnectionFault, ErrorCode

Field = tuple[bytes, bytes]
Fields = Sequence[Field]

EMPTY_TABLE = b"\x20"
"""Dynamic table size update to 0 (RFC 7541, 6.3): opens the first block that we send on a connection."""

_CACHED_BLOCK_BYTES = 512
"""Longer blocks carry metadata of their own and would not be met again."""
_CACHED_BLOCKS = 1_024
_CACHED_NAMES = 1_024
_SECRET = frozenset((b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"))
"""Kept in no cache, here or at the peer (RFC 7541, 7.1.3), as is what the peer itself marks."""
_too_many_updates = re.compile(rb"(?:[\x20-\x3e]|\x3f[\x80-\xff]*[\x00-\x7f]){3}").match
"""Two table size updates can have a meaning (RFC 7541, 4.2); thousands only cost time."""
_STATIC_INDEX = {field: index for index, field in reversed([*enumerate(HeaderTable.STATIC_TABLE, 1)])}
_STATIC_NAME_INDEX = {field[0]: index for field, index in _STATIC_INDEX.items()}


class BlockCache:
    """What header blocks mean that use no dynamic table: the same on every connection."""

    def __init__(self) -> None:
        self.blocks: dict[bytes, Fields] = {}

    def keep(self, block: bytes, fields: Fields) -> None:
        if len(block) > _CACHED_BLOCK_BYTES or any(map(_is_secret, fields)):
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

    def decode(self, block: bytes) -> Fields:
        """Raises ConnectionFault."""
        if self._is_stateless:
            known = self._cache.blocks.get(block)
            if known is not None:
                return known
        if _too_many_updates(block):
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, "header block: too many table size updates")
        try:
            fields = cast(list[Field], self._decoder.decode(block, raw=True))
        except OversizedHeaderListError as error:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header list is too large") from error
        except HPACKError as error:
            raise ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"header block: {error}") from error
        if self._is_stateless:
            self._cache.keep(block, fields)
        elif self._decoder.max_allowed_table_size == 0:
            self._is_stateless = True
        return fields

    def forbid_table(self) -> None:
        """The peer has acknowledged that our table has 0 bytes. Where it holds entries, the next block has to begin by
        evicting them (RFC 9113, 4.3.1)."""
        self._decoder.max_allowed_table_size = 0
        if not self._decoder.header_table.dynamic_entries:
            self._decoder.header_table_size = 0


class HeaderEncoder:
    """Encodes by static table and literals, without Huffman coding, which costs Python more time than it saves bytes.
    One serves all connections. The first block of each begins with EMPTY_TABLE."""

    def __init__(self) -> None:
        self._openings: dict[tuple[bytes, bool], bytes] = {}

    def encode(self, fields: Fields) -> bytes:
        pieces: list[bytes] = []
        for field in fields:
            name, value = field
            is_secret = _is_secret(field)
            index = None if is_secret else _STATIC_INDEX.get(field)
            if index is not None:
                pieces.append(_integer(0x80, 7, index))
            else:
                pieces += (self._opening(name, is_secret), _integer(0, 7, len(value)), value)
        return b"".join(pieces)

    def _opening(self, name: bytes, is_secret: bool) -> bytes:
        """Return how a literal with this name begins (RFC 7541, 6.2.2 and 6.2.3)."""
        opening = self._openings.get((name, is_secret))
        if opening is None:
            pattern = 0x10 if is_secret else 0
            index = _STATIC_NAME_INDEX.get(name)
            if index is not None:
                opening = _integer(pattern, 4, index)
            else:
                opening = bytes((pattern,)) + _integer(0, 7, len(name)) + name
            if len(self._openings) < _CACHED_NAMES:
                self._openings[name, is_secret] = opening
        return opening


class Codec:
    """What all connections of a process share of HPACK, since none keeps a dynamic table."""

    def __init__(self) -> None:
        self.encoder = HeaderEncoder()
        self.cache = BlockCache()


def list_bytes(fields: Fields) -> int:
    """Return the size of a header list as SETTINGS_MAX_HEADER_LIST_SIZE counts it (6.5.2)."""
    return sum(len(name) + len(value) + 32 for name, value in fields)


def _is_secret(field: Field) -> bool:
    return isinstance(field, NeverIndexedHeaderTuple) or field[0] in _SECRET


def _integer(pattern: int, bits: int, value: int) -> bytes:
    """Return an integer behind the high bits of its first byte (RFC 7541, 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((pattern | value,))
    wire = bytearray((pattern | limit,))
    value -= limit
    while value >= 0x80:
        wire.append(value & 0x7F | 0x80)
        value >>= 7
    wire.append(value)
    return bytes(wire)
