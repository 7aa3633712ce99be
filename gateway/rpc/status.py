"""gRPC statuses: the one table from our reasons to codes, and what goes on the wire."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from urllib.parse import quote, unquote_to_bytes

from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from gateway.errors import Failure, Reason
from gateway.rpc.metadata import encode_binary

__all__ = [
    "CODES",
    "DOMAIN",
    "Code",
    "Failure",
    "Reason",
    "Status",
    "code_of_http_status",
    "code_of_reset",
    "status_of",
]

DOMAIN = "inference.v1"
"""google.rpc.ErrorInfo.domain of every error of ours."""


class Code(IntEnum):
    """https://grpc.github.io/grpc/core/md_doc_statuscodes.html"""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


CODES: Mapping[Reason, Code] = {
    Reason.INVALID_REQUEST: Code.INVALID_ARGUMENT,
    Reason.MODEL_NOT_FOUND: Code.NOT_FOUND,
    Reason.ROUTE_NOT_FOUND: Code.NOT_FOUND,
    Reason.METHOD_NOT_FOUND: Code.UNIMPLEMENTED,
    Reason.ENCODING_NOT_SUPPORTED: Code.UNIMPLEMENTED,
    Reason.MESSAGE_TOO_LARGE: Code.RESOURCE_EXHAUSTED,
    Reason.METADATA_TOO_LARGE: Code.RESOURCE_EXHAUSTED,
    Reason.CONTINUATION_IMPOSSIBLE: Code.FAILED_PRECONDITION,
    Reason.NO_REPLICA_READY: Code.UNAVAILABLE,
    Reason.OVERLOADED: Code.RESOURCE_EXHAUSTED,
    Reason.DRAINING: Code.UNAVAILABLE,
    Reason.REPLICA_UNREACHABLE: Code.UNAVAILABLE,
    Reason.REPLICA_FAILED: Code.UNAVAILABLE,
    Reason.DEADLINE_EXCEEDED: Code.DEADLINE_EXCEEDED,
    Reason.CANCELLED: Code.CANCELLED,
    Reason.INTERNAL: Code.INTERNAL,
}

# https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md; all others are UNKNOWN.
_CODE_OF_HTTP_STATUS: Mapping[bytes, Code] = {
    b"400": Code.INTERNAL,
    b"401": Code.UNAUTHENTICATED,
    b"403": Code.PERMISSION_DENIED,
    b"404": Code.UNIMPLEMENTED,
    b"429": Code.UNAVAILABLE,
    b"502": Code.UNAVAILABLE,
    b"503": Code.UNAVAILABLE,
    b"504": Code.UNAVAILABLE,
}

# https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#errors, by RFC 9113 error code; all others INTERNAL.
_CODE_OF_RESET: Mapping[int, Code] = {
    0x7: Code.UNAVAILABLE,
    0x8: Code.CANCELLED,
    0xB: Code.RESOURCE_EXHAUSTED,
    0xC: Code.PERMISSION_DENIED,
}

_MAX_MESSAGE = 384
_MAX_VALUE = 128
# Printable ASCII but '%' goes as it is (PROTOCOL-HTTP2.md, Status-Message).
_UNQUOTED = "".join(chr(i) for i in range(0x20, 0x7F) if chr(i) != "%")


def code_of_http_status(status: bytes) -> Code:
    """Return the code for a response that carries no grpc-status."""
    return _CODE_OF_HTTP_STATUS.get(status, Code.UNKNOWN)


def code_of_reset(error_code: int) -> Code:
    """Return the code for a stream that the peer reset."""
    return _CODE_OF_RESET.get(error_code, Code.INTERNAL)


def percent_encode(message: str) -> bytes:
    """Return the value of `grpc-message`. What UTF-8 cannot carry becomes a question mark."""
    return quote(message, safe=_UNQUOTED, errors="replace").encode("ascii")


def percent_decode(message: bytes) -> str:
    """Return what a `grpc-message` says; never fails, as the specification asks."""
    return unquote_to_bytes(message).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Status:
    """How one RPC ended. `reason` is absent where the code says it all."""

    code: Code
    message: str = ""
    reason: Reason | None = None
    retry_after_s: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])

    def details(self) -> bytes:
        """Return google.rpc.Status with ErrorInfo and, where a retry makes sense, RetryInfo."""
        status = status_pb2.Status(code=self.code, message=self.message)
        if self.reason is not None:
            info = error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=dict(self.metadata))
            status.details.append(_packed(info))
        if self.retry_after_s is not None:
            delay = duration_pb2.Duration()
            delay.FromNanoseconds(round(self.retry_after_s * 1e9))
            status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=delay)))
        return status.SerializeToString()

    def trailers(self) -> list[tuple[bytes, bytes]]:
        """Return the HTTP/2 trailers that end the RPC with this status."""
        fields = [(b"grpc-status", b"%d" % self.code)]
        if self.message:
            fields.append((b"grpc-message", percent_encode(self.message)))
        if self.reason is not None:
            fields.append((b"grpc-status-details-bin", encode_binary(self.details())))
        pushback = self.pushback_ms()
        if pushback is not None:
            fields.append((b"grpc-retry-pushback-ms", pushback))
        return fields

    def pushback_ms(self) -> bytes | None:
        """Return the value of `grpc-retry-pushback-ms` (gRFC A6), if a retry makes sense."""
        return None if self.retry_after_s is None else b"%d" % round(self.retry_after_s * 1000)


def status_of(failure: Failure) -> Status:
    """Return what the caller is told. Text is cut: it may quote a request, and trailers have to fit (8 KiB)."""
    metadata = {key: _cut(value, _MAX_VALUE) for key, value in failure.metadata.items()}
    message = _cut(failure.message, _MAX_MESSAGE)
    return Status(CODES[failure.reason], message, failure.reason, failure.retry_after_s, metadata)


def _cut(text: str, length: int) -> str:
    return text[:length].encode("utf-8", "replace").decode("utf-8")


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
