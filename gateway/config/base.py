"""What all settings are made of."""

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=86_400)]
PositiveInt = Annotated[int, Meta(ge=1)]
Weight = Annotated[float, Meta(gt=0, le=1_000)]
Port = Annotated[int, Meta(ge=1, le=65_535)]


class Strict(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings have names, and only those that are known."""


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[IPV6]:PORT`. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_bracketed else host
    if not colon or not host or (":" in host and not is_bracketed):
        raise ValueError(f"{address!r} is not HOST:PORT")
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{address!r} has no port between 0 and 65535")
    return host, int(port)


def join_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check(name: str, parse: Callable[[str], object], value: str) -> None:
    """Raise ValueError with the setting's name where `parse` raises it."""
    try:
        parse(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
