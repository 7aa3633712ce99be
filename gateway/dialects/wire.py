"""Long fields of protobuf messages, where they stand: parsed, each of them would be copied twice."""

from typing import Final

_MOST_FIELDS: Final = 64
"""A message of more is not searched, since its sender chooses how many there are."""
# Kinds of fields, by the three low bits of their tags.
_VARINT: Final = 0
_BYTES: Final = 2
_FIXED_BYTES: Final = {1: 8, 5: 4}


def field(message: bytes | memoryview, number: int) -> memoryview | None:
    """Return the bytes of the last field of this number in a message that protobuf has found well-formed. None: there
    is none, or the message is not searched."""
    view = memoryview(message)
    found: memoryview | None = None
    at = 0
    for _ in range(_MOST_FIELDS):
        if at == len(view):
            return found
        tag, at = _varint(view, at)
        kind = tag & 7
        if kind == _BYTES:
            size, at = _varint(view, at)
            if tag >> 3 == number:
                found = view[at : at + size]
            at += size
        elif kind == _VARINT:
            _, at = _varint(view, at)
        elif kind in _FIXED_BYTES:
            at += _FIXED_BYTES[kind]
        else:
            return None  # A group, which nothing here has.
    return None


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    """Return the number that begins at `at`, and where it ends."""
    value = shift = 0
    while True:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
