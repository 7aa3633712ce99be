"""Header fields, as both ends of a connection mean them."""

from collections.abc import Sequence
from typing import Final

from gateway.http2.kind import Kind

Field = tuple[bytes, bytes]
Fields = Sequence[Field]

SECRET_NAMES: Final = frozenset((b"authorization", b"cookie", b"proxy-authorization", b"set-cookie"))
"""Kept in no cache, here or at the peer, as is what the peer itself has marked (RFC 7541, 7.1.3)."""


class SecretName(bytes):
    """Name of a field that its sender has marked as never to be indexed (RFC 7541, 6.2.3)."""

    __slots__ = ()


class FieldList(list[Field]):
    """The fields of a block. One that is met again gives the same object, so what was found out of it stays with it;
    nobody changes the list."""

    list_bytes: int = 0
    """As SETTINGS_MAX_HEADER_LIST_SIZE counts (6.5.2)."""
    checked: Kind | None = None
    """It may be one of these (field_rules)."""
    content_bytes: int | None = None
    """What content-length says; known once it is checked."""
    block: bytes | None = None
    """As we send it."""
    call: object = None
    """What it asks for: the business of those above."""
