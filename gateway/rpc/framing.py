"""Length-prefixed messages (PROTOCOL-HTTP2.md): a flag byte, four bytes of length, the message.

A DATA frame is not a message: it may hold several, or end inside one.
"""

import zlib
from collections.abc import Mapping
from typing import Final

from gateway.errors import Failure, Reason

PREFIX_BYTES: Final = 5
_WBITS: Final = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}
"""gRPC's `deflate` is zlib's format (RFC 1950), not the raw one."""
_NO_ENCODING: Final = frozenset((b"", b"identity"))


class MalformedFraming(Exception):
    """A prefix whose flag is neither 0 nor 1."""


class _Openings(dict[int, bytes]):
    """Filled as lengths are met; frames have 16,384 at most."""

    def __missing__(self, size: int) -> bytes:
        message_bytes = size - PREFIX_BYTES
        self[size] = opening = b"\x00" + message_bytes.to_bytes(4, "big") if message_bytes >= 0 else b"-"
        return opening


OPENINGS: Final[Mapping[int, bytes]] = _Openings()
"""How one whole message begins that is not compressed, by its length with the prefix."""


def message_end(data: bytes | bytearray, start: int) -> int | None:
    """Return where the message that begins at `start` ends, or None where its prefix is incomplete."""
    if len(data) - start < PREFIX_BYTES:
        return None
    if data[start] > 1:
        raise MalformedFraming
    return start + PREFIX_BYTES + int.from_bytes(data[start + 1 : start + 5], "big")


def prefix(size: int) -> bytes:
    """Return what stands before an uncompressed message of `size` bytes."""
    return b"\x00" + size.to_bytes(4, "big")


def prefixed(message: bytes) -> bytes:
    """Return an uncompressed message with its prefix."""
    return prefix(len(message)) + message


def inflate(message: bytes, encoding: bytes, max_bytes: int) -> bytes:
    """Return the message that `encoding` (the field grpc-encoding) has compressed.

    Raises Failure: ENCODING_NOT_SUPPORTED, MESSAGE_TOO_LARGE, or INVALID_REQUEST where it cannot be inflated.
    """
    if encoding in _NO_ENCODING:
        raise Failure(Reason.INVALID_REQUEST, "a message is marked as compressed, but grpc-encoding names nothing")
    wbits = _WBITS.get(encoding)
    if wbits is None:
        raise Failure(
            Reason.ENCODING_NOT_SUPPORTED, f"grpc-encoding {encoding[:64].decode('latin-1')!r} is not supported"
        )
    inflater = zlib.decompressobj(wbits)
    try:
        inflated = inflater.decompress(message, max_bytes + 1)
    except zlib.error as error:
        raise Failure(Reason.INVALID_REQUEST, f"compressed message: {error}") from error
    if len(inflated) > max_bytes:
        raise Failure(Reason.MESSAGE_TOO_LARGE, f"message inflates to more than {max_bytes} bytes")
    if not inflater.eof:
        raise Failure(Reason.INVALID_REQUEST, "compressed message is incomplete")
    return inflated


class WholeMessages:
    """Lets only whole messages through, so that a stream can be continued after any of them. The tail of an
    incomplete message is held up to `hold_bytes`; a longer one passes in pieces, and inside it `is_at_boundary` is
    False."""

    __slots__ = ("_held", "_hold_bytes", "_missing", "is_at_boundary", "messages")

    def __init__(self, hold_bytes: int) -> None:
        self.is_at_boundary = True
        """Nothing is held and no message is half passed: the caller may pass one whole message without asking."""
        self.messages = 0
        """Passed, or passing."""
        self._held = b""
        self._hold_bytes = hold_bytes
        self._missing = 0

    @property
    def held_bytes(self) -> int:
        return len(self._held)

    def feed(self, payload: bytes) -> bytes:
        """Return what may leave now, what was held before included. Raises MalformedFraming."""
        data = self._held + payload if self._held else payload
        end = min(self._missing, len(data))
        self._missing -= end
        while (after := message_end(data, end)) is not None and after <= len(data):
            self.messages += 1
            end = after
        if after is not None and after - end > self._hold_bytes and not self._missing:
            self.messages += 1
            self._missing = after - len(data)
            end = len(data)
        self._held = data[end:]
        self.is_at_boundary = not self._held and not self._missing
        return data[:end]
