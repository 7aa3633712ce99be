"""HPACK decoding (RFC 7541). The tables and the Huffman code are those of `hpack`; the walk over a block is ours, since
most calls carry a value that no cache has met (a timeout, a request id), and it has to be bounded."""

from collections import deque
from typing import Final

from hpack import HPACKError
from hpack.table import HeaderTable

from gateway.errors import Limit
from gateway.http2.codec import BlockCache
from gateway.http2.frames import ConnectionFault, ErrorCode
from gateway.http2.headers import SECRET_NAMES, Field, FieldList, SecretName
from gateway.http2.huffman import decode_huffman

_STATIC: Final[tuple[Field, ...]] = ((b"", b""), *HeaderTable.STATIC_TABLE)
_ENTRY_BYTES: Final = 32
"""Counted for each field beside its name and value (RFC 7541, 4.1; RFC 9113, 10.5.1)."""
_TABLE_BYTES: Final = 4_096
"""A table's size until the peer has acknowledged another one (RFC 9113, 6.5.2)."""
_MAX_UPDATES: Final = 2
"""More size updates in one block have no meaning (RFC 7541, 4.2), and thousands would cost time."""
_MAX_SHIFT: Final = 28
"""Of an integer's continuation bytes: five of them are more than any length here (RFC 7541, 5.1)."""


class HeaderDecoder:
    """Decodes the blocks of one connection. A list above `max_list_bytes` ends the connection, since the table is then
    out of step with the peer's. Every failure is a ConnectionFault."""

    def __init__(self, cache: BlockCache, max_list_bytes: int) -> None:
        self._cache = cache
        self._max_list_bytes = max_list_bytes
        self._table_limit_bytes = _TABLE_BYTES
        self._table_bytes = _TABLE_BYTES
        self._entries: deque[Field] = deque()
        self._entries_bytes = 0

    def decode(self, block: bytes) -> FieldList:
        is_stateless = not self._table_limit_bytes and not self._table_bytes
        if is_stateless and (known := self._cache.blocks.get(block)) is not None:
            return known
        try:
            fields = self._walk(block)
        except (HPACKError, IndexError) as error:
            raise _fault(str(error)) from error
        if is_stateless:
            self._cache.keep(block, fields)
        return fields

    def forbid_table(self) -> None:
        """The peer has acknowledged that our table has 0 bytes. Its next block has to say so (RFC 9113, 4.3.1); nginx
        never does, goes on adding entries, and refers to none. So entries go now, and who refers to one is in error."""
        self._table_limit_bytes = self._table_bytes = 0
        self._evict()

    def _walk(self, block: bytes) -> FieldList:
        position = self._resize(block)
        fields = FieldList()
        left_bytes = self._max_list_bytes
        while position < len(block):
            field, position = self._field(block, position)
            fields.append(field)
            left_bytes -= _size(field)
            if left_bytes < 0:
                raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header list is too large", Limit.HEADER_BYTES_HARD)
        fields.list_bytes = self._max_list_bytes - left_bytes
        return fields

    def _resize(self, block: bytes) -> int:
        """Apply the size updates at the beginning of a block. Return where they end."""
        position = updates = 0
        while position < len(block) and block[position] & 0xE0 == 0x20:
            self._table_bytes, position = _integer(block, position, 5)
            updates += 1
            if updates > _MAX_UPDATES:
                raise _fault("too many table size updates")
            self._require_table()
            self._evict()
        self._require_table()
        return position

    def _require_table(self) -> None:
        if self._table_bytes > self._table_limit_bytes:
            raise _fault("the table is larger than it may be")

    def _field(self, block: bytes, position: int) -> tuple[Field, int]:
        """Return the field at `position` and where the next one begins (RFC 7541, 6)."""
        first = block[position]
        if first & 0x80:
            index, position = _integer(block, position, 7)
            return self._entry(index), position
        if first & 0x60 == 0x20:
            raise _fault("a table size update behind a field")
        index, position = _integer(block, position, 6 if first & 0x40 else 4)
        is_secret = first & 0x50 == 0x10
        if index:
            name = self._entry(index)[0]
        else:
            name, position = self._string(block, position, is_secret)
        value, position = self._string(block, position, is_secret or name in SECRET_NAMES)
        if is_secret:
            return (SecretName(name), value), position
        if first & 0x40:
            self._add((name, value))
        return (name, value), position

    def _string(self, block: bytes, position: int, is_secret: int) -> tuple[bytes, int]:
        """Return the string at `position` and where it ends (RFC 7541, 5.2)."""
        is_huffman = block[position] & 0x80
        length, position = _integer(block, position, 7)
        end = position + length
        string = block[position:end]
        if len(string) < length:
            raise _fault("cut short")
        if is_huffman:
            string = decode_huffman(string) if is_secret else self._cache.huffman(string)
        return string, end

    def _entry(self, index: int) -> Field:
        if not index:
            raise _fault("index 0")
        return _STATIC[index] if index < len(_STATIC) else self._entries[index - len(_STATIC)]

    def _add(self, field: Field) -> None:
        if self._table_bytes:
            self._entries.appendleft(field)
            self._entries_bytes += _size(field)
            self._evict()

    def _evict(self) -> None:
        while self._entries_bytes > self._table_bytes:
            self._entries_bytes -= _size(self._entries.pop())


def _size(field: Field) -> int:
    return len(field[0]) + len(field[1]) + _ENTRY_BYTES


def _integer(block: bytes, position: int, bits: int) -> tuple[int, int]:
    """Return the integer at `position` and where it ends (RFC 7541, 5.1)."""
    limit = (1 << bits) - 1
    value = block[position] & limit
    position += 1
    if value < limit:
        return value, position
    for shift in range(0, _MAX_SHIFT + 1, 7):
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _fault("an integer without end")


def _fault(message: str) -> ConnectionFault:
    return ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"header block: {message}")
