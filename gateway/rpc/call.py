"""What HTTP/2 headers say of an RPC."""

import re
from typing import Final, NamedTuple

from msgspec import Struct

from gateway.errors import Failure, Reason
from gateway.http2.headers import Field, FieldList
from gateway.rpc.plain import require_grpc
from gateway.rpc.timeouts import format_timeout, parse_timeout

_CANONICAL_PATH = re.compile(rb"/[A-Za-z_][A-Za-z0-9_.]*/[A-Za-z_][A-Za-z0-9_]*")
"""Anything else reaches no method: allow-lists must see what the replica would see (CVE-2026-33186)."""
_EXPLAIN: Final = b"x-gateway-explain"
GATEWAY_ID: Final = b"x-gateway-id"
_HOP_FIELDS: Final = frozenset((b"grpc-timeout", GATEWAY_ID, b"content-length", _EXPLAIN))
"""Not copied: the timeout shrinks on the way, the id is ours to say, the length is the frames' own, and we explain."""
CONTENT_TYPE: Final = (b"content-type", b"application/grpc")
RESPONSE: Final = ((b":status", b"200"), CONTENT_TYPE)


class Call(Struct, frozen=True):
    """One RPC as its agent asked for it."""

    path: str
    deadline_at: float | None
    """Monotonic clock, seconds."""
    encoding: bytes
    """grpc-encoding; empty where there is none."""
    fields: FieldList
    """What goes to the replica, in order: pseudo-header fields, then metadata."""
    spiffe_id: str = ""
    """Whom the agent's certificate names; empty where it names nobody."""
    asks_why: bool = False
    """`x-gateway-explain: 1`."""
    gateway_id: bytes = b""
    """Of the gateway that asks; empty for agents that are none."""

    def timeout_at(self, now_s: float) -> list[Field]:
        """Return the field that says how long an attempt may take that begins now, if there is a deadline."""
        if self.deadline_at is None:
            return []
        return [(b"grpc-timeout", format_timeout(self.deadline_at - now_s))]


class _Asked(NamedTuple):
    """A call without its instant: the same for all requests that have the same headers."""

    path: str
    timeout_s: float | None
    encoding: bytes
    fields: FieldList
    asks_why: bool
    gateway_id: bytes


def read_call(fields: FieldList, now_s: float, spiffe_id: str = "") -> Call:
    """Return the call that these request headers begin. Raises NotGrpc, or Failure where gRPC can say it."""
    asked = fields.call
    if not isinstance(asked, _Asked):
        asked = fields.call = _read(fields)
    deadline_at = None if asked.timeout_s is None else now_s + asked.timeout_s
    return Call(asked.path, deadline_at, asked.encoding, asked.fields, spiffe_id, asked.asks_why, asked.gateway_id)


def _read(fields: FieldList) -> _Asked:
    first = dict(reversed(fields))
    path = first.get(b":path", b"")
    require_grpc(first[b":method"], path, first.get(b"content-type", b""))
    if not _CANONICAL_PATH.fullmatch(path):
        raise Failure(Reason.METHOD_NOT_FOUND, "the path is not /package.Service/Method")
    timeout = first.get(b"grpc-timeout")
    try:
        timeout_s = None if timeout is None else parse_timeout(timeout)
    except ValueError as error:
        raise Failure(Reason.INVALID_REQUEST, str(error)) from error
    return _Asked(
        path=path.decode("ascii"),
        timeout_s=timeout_s,
        encoding=first.get(b"grpc-encoding", b""),
        fields=FieldList(field for field in fields if field[0] not in _HOP_FIELDS),
        asks_why=first.get(_EXPLAIN) == b"1",
        gateway_id=first.get(GATEWAY_ID, b""),
    )
