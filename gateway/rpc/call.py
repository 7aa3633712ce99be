"""What HTTP/2 headers say of an RPC."""

import re
from dataclasses import dataclass
from typing import Final

from gateway.errors import Failure, Reason
from gateway.http2.headers import Field, Fields
from gateway.rpc.plain import require_grpc
from gateway.rpc.timeouts import format_timeout, parse_timeout

_CANONICAL_PATH = re.compile(rb"/[A-Za-z_][A-Za-z0-9_.]*/[A-Za-z_][A-Za-z0-9_]*")
"""Anything else reaches no method: allow-lists must see what the replica would see (CVE-2026-33186)."""
_HOP_FIELDS: Final = frozenset((b"grpc-timeout", b"x-gateway-id", b"content-length"))
"""Not copied: the timeout shrinks on the way, the id is ours to say, and the length is the frames' own."""
CONTENT_TYPE: Final = (b"content-type", b"application/grpc")
RESPONSE: Final = ((b":status", b"200"), CONTENT_TYPE)


@dataclass(frozen=True, slots=True)
class Call:
    """One RPC as its agent asked for it."""

    path: str
    deadline_at: float | None
    """Monotonic clock, seconds."""
    encoding: bytes
    """grpc-encoding; empty where there is none."""
    fields: tuple[Field, ...]
    """What goes to the replica, in order: pseudo-header fields, then metadata."""

    def fields_at(self, now_s: float) -> list[Field]:
        """Return the fields for an attempt that begins now: what is left of the time is its timeout."""
        fields = list(self.fields)
        if self.deadline_at is not None:
            fields.append((b"grpc-timeout", format_timeout(self.deadline_at - now_s)))
        return fields


def read_call(fields: Fields, now_s: float) -> Call:
    """Return the call that these request headers begin. Raises NotGrpc, or Failure where gRPC can say it."""
    first = dict(reversed(fields))
    path = first.get(b":path", b"")
    require_grpc(first[b":method"], path, first.get(b"content-type", b""))
    if not _CANONICAL_PATH.fullmatch(path):
        raise Failure(Reason.METHOD_NOT_FOUND, "the path is not /package.Service/Method")
    timeout = first.get(b"grpc-timeout")
    try:
        deadline_at = None if timeout is None else now_s + parse_timeout(timeout)
    except ValueError as error:
        raise Failure(Reason.INVALID_REQUEST, str(error)) from error
    return Call(
        path=path.decode("ascii"),
        deadline_at=deadline_at,
        encoding=first.get(b"grpc-encoding", b""),
        fields=tuple(field for field in fields if field[0] not in _HOP_FIELDS),
    )
