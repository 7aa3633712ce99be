"""gRPC metadata on HTTP/2 (PROTOCOL-HTTP2.md, Custom-Metadata)."""

from base64 import b64decode, b64encode


def encode_binary(value: bytes) -> bytes:
    """Return the value of a `-bin` field: base64 without padding."""
    return b64encode(value).rstrip(b"=")


def decode_binary(value: bytes) -> bytes:
    """Return what a `-bin` field carries, padded or not. Raises ValueError (binascii.Error)."""
    return b64decode(value + b"=" * (-len(value) % 4), validate=True)
