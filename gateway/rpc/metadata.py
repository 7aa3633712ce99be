"""gRPC metadata on HTTP/2 (PROTOCOL-HTTP2.md, Custom-Metadata)."""

from base64 import b64encode
from binascii import a2b_base64
from typing import Final

_PADDING: Final = (b"", b"===", b"==", b"=")


def encode_binary(value: bytes) -> bytes:
    """Return the value of a `-bin` field: base64 without padding."""
    return b64encode(value).rstrip(b"=")


def decode_binary(value: bytes) -> bytes:
    """Return what a `-bin` field carries, padded or not. Raises ValueError (binascii.Error)."""
    return a2b_base64(value + _PADDING[len(value) % 4], strict_mode=True)
