"""How header fields are coded: HPACK (RFC 7541).

We keep no dynamic table in either direction: our encoder uses the static table and literals only, and we announce a
table of 0 bytes. So, once the peer has obeyed, a block means the same on every connection: what has been decoded once
is found again in a dictionary, and encoding is concatenation (docs/decisions/0003).
"""

from typing import Final

from hpack.table import HeaderTable

from gateway.http2.headers import SECRET_NAMES, FieldList, Fields, SecretName
from gateway.http2.huffman import decode_huffman

EMPTY_TABLE: Final = b"\x20"
"""Dynamic table size update to 0 (RFC 7541, 6.3): opens the first block that we send on a connection."""

_CACHED_BLOCK_BYTES: Final = 512
"""Longer blocks carry metadata of their own and would not be met again."""
_CACHED_BLOCKS: Final = 1_024
_BINARY: Final = b"-bin"
"""gRPC's binary values are of one call: load reports, statuses, traces."""
_CACHED_NAMES: Final = 1_024
_CACHED_STRING_BYTES: Final = 64
_CACHED_STRINGS: Final = 1_024
_STATIC_NAME_INDEX: Final = {name: index for index, (name, _) in reversed([*enumerate(HeaderTable.STATIC_TABLE, 1)])}
_INDEXED: Final = {field: bytes((0x80 | index,)) for index, field in enumerate(HeaderTable.STATIC_TABLE, 1)}
"""Fields that are one byte (RFC 7541, 6.1)."""
_LENGTHS: Final = [bytes((length,)) for length in range(0x7F)]


class BlockCache:
    """What header blocks mean that use no dynamic table, and Huffman strings: the same on every connection."""

    def __init__(self) -> None:
        self.blocks: dict[bytes, FieldList] = {}
        self._strings: dict[bytes, bytes] = {}

    def huffman(self, string: bytes) -> bytes:
        """Return a Huffman string decoded. Raises HPACKError."""
        known = self._strings.get(string)
        if known is None:
            known = decode_huffman(string)
            if len(string) <= _CACHED_STRING_BYTES:
                if len(self._strings) >= _CACHED_STRINGS:
                    self._strings.clear()
                self._strings[string] = known
        return known

    def keep(self, block: bytes, fields: FieldList) -> None:
        if len(block) > _CACHED_BLOCK_BYTES:
            return
        for name, _ in fields:
            if name in SECRET_NAMES or type(name) is SecretName or name.endswith(_BINARY):
                return
        if len(self.blocks) >= _CACHED_BLOCKS:
            self.blocks.clear()
        self.blocks[block] = fields


class HeaderEncoder:
    """Encodes by static table and literals, without Huffman coding, which costs Python more time than it saves bytes.
    One serves all connections. The first block of each begins with EMPTY_TABLE."""

    def __init__(self) -> None:
        self._openings: dict[tuple[bytes, bool], bytes] = {}

    def encode(self, fields: Fields) -> bytes:
        if type(fields) is not FieldList:
            return self._encode(fields)
        if fields.block is None:
            fields.block = self._encode(fields)
        return fields.block

    def _encode(self, fields: Fields) -> bytes:
        openings = self._openings
        pieces: list[bytes] = []
        for field in fields:
            name, value = field
            is_hidden = name in SECRET_NAMES or type(name) is SecretName
            if not is_hidden and (indexed := _INDEXED.get(field)) is not None:
                pieces.append(indexed)
                continue
            opening = openings.get((name, is_hidden)) or self._opening(name, is_hidden)
            length = len(value)
            pieces += (opening, _LENGTHS[length] if length < 0x7F else _integer(0, 7, length), value)
        return b"".join(pieces)

    def _opening(self, name: bytes, is_hidden: bool) -> bytes:
        """Return how a literal with this name begins (RFC 7541, 6.2.2 and 6.2.3)."""
        pattern = 0x10 if is_hidden else 0
        index = _STATIC_NAME_INDEX.get(name)
        if index is not None:
            opening = _integer(pattern, 4, index)
        else:
            opening = bytes((pattern,)) + _integer(0, 7, len(name)) + name
        if len(self._openings) < _CACHED_NAMES:
            self._openings[name, is_hidden] = opening
        return opening


class Codec:
    """What all connections of a process share of HPACK, since none keeps a dynamic table."""

    def __init__(self) -> None:
        self.encoder = HeaderEncoder()
        self.cache = BlockCache()


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
