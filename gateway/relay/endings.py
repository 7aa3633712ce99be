"""What a replica says at the end of a stream, and what of it is the agent's."""

from typing import Final

from gateway.http2.headers import FieldList, Fields
from gateway.rpc import orca
from gateway.rpc.status import Code, Status, code_of_http_status

__all__ = ["FAULTS", "UNAVAILABLE", "ending_of"]

FAULTS: Final = frozenset(
    str(int(code)).encode() for code in (Code.UNKNOWN, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS)
)
"""Statuses that say something against the replica: not overload, not what the agent did wrong."""
UNAVAILABLE: Final = str(int(Code.UNAVAILABLE)).encode()
"""Another replica may do it: this one drains, or its engine is gone."""

_STRIPPED: Final = frozenset((orca.TRAILER, b":status", b"content-type"))
"""A replica's load is the gateway's to know: it would steer the agent's own balancer. And where a response consists of
trailers alone, the exchange opens it with these already."""
_OK: Final[Fields] = FieldList(((b"grpc-status", b"0"),))
"""All that most agents are told: encoded once."""


def ending_of(fields: Fields) -> tuple[bytes, Fields, bytes | None]:
    """Return the status, the trailers for the agent, which have it, and the value of the load report, if there is one.
    `fields` are trailers, or all that a response without gRPC consists of."""
    said = dict(fields)
    report = said.get(orca.TRAILER)
    status = said.get(b"grpc-status")
    if status is None:
        trailers = _without_status(said.get(b":status", b"200"))
        return trailers[0][1], trailers, report
    kept = [field for field in fields if field[0] not in _STRIPPED]
    return status, _OK if kept == _OK else kept, report


def _without_status(http_status: bytes) -> Fields:
    """Return the trailers for the agent where the replica sent no gRPC status; ours comes first."""
    message = f"the replica answered HTTP {http_status.decode('latin-1')} without a gRPC status"
    return Status(code_of_http_status(http_status), message).trailers()
