"""From a gRPC status to the exception that says it."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from gateway.client.errors import (
    Cancelled,
    ContinuationImpossible,
    DataLoss,
    DeadlineExceeded,
    Draining,
    EncodingNotSupported,
    ErrorDetails,
    InferenceError,
    Internal,
    InvalidRequest,
    MessageTooLarge,
    MetadataTooLarge,
    MethodNotFound,
    ModelNotFound,
    NoReplicaReady,
    Overloaded,
    PermissionDenied,
    ReplicaFailed,
    ReplicaUnreachable,
    RouteNotFound,
    Unauthenticated,
    Unavailable,
)
from gateway.errors import Reason
from gateway.rpc.status import DOMAIN, Code

ERRORS: Mapping[Reason | Code, type[InferenceError]] = {
    Reason.INVALID_REQUEST: InvalidRequest,
    Reason.MODEL_NOT_FOUND: ModelNotFound,
    Reason.ROUTE_NOT_FOUND: RouteNotFound,
    Reason.METHOD_NOT_FOUND: MethodNotFound,
    Reason.ENCODING_NOT_SUPPORTED: EncodingNotSupported,
    Reason.MESSAGE_TOO_LARGE: MessageTooLarge,
    Reason.METADATA_TOO_LARGE: MetadataTooLarge,
    Reason.CONTINUATION_IMPOSSIBLE: ContinuationImpossible,
    Reason.NO_REPLICA_READY: NoReplicaReady,
    Reason.OVERLOADED: Overloaded,
    Reason.DRAINING: Draining,
    Reason.REPLICA_UNREACHABLE: ReplicaUnreachable,
    Reason.REPLICA_FAILED: ReplicaFailed,
    Reason.DEADLINE_EXCEEDED: DeadlineExceeded,
    Reason.CANCELLED: Cancelled,
    Reason.INTERNAL: Internal,
    # A status without a reason that we know: from grpcio itself, another proxy, or a newer server.
    Code.CANCELLED: Cancelled,
    Code.INVALID_ARGUMENT: InvalidRequest,
    Code.DEADLINE_EXCEEDED: DeadlineExceeded,
    Code.PERMISSION_DENIED: PermissionDenied,
    Code.UNIMPLEMENTED: MethodNotFound,
    Code.INTERNAL: Internal,
    Code.UNAVAILABLE: Unavailable,
    Code.DATA_LOSS: DataLoss,
    Code.UNAUTHENTICATED: Unauthenticated,
}
"""The one table from what a status says to what is raised. A reason wins over the code."""


class FailedCall(Protocol):
    """The part of the failed call that gRPC's sync and async API share."""

    def code(self) -> grpc.StatusCode: ...
    def details(self) -> str | None: ...
    # Pairs in both; the stubs give the sync ones a type of their own.
    def trailing_metadata(self) -> Iterable[Any] | None: ...


def error_of(failed: FailedCall) -> InferenceError:
    """Return what to raise for a call that gRPC ended."""
    number, _ = failed.code().value
    details = details_of(failed.trailing_metadata() or ())
    return error_for(Code(number), failed.details() or "", details)


def cancelled() -> Cancelled:
    """Return what to raise where a stream was cancelled here."""
    return Cancelled(Code.CANCELLED, "cancelled by the caller")


def error_for(code: Code, message: str, details: ErrorDetails) -> InferenceError:
    """Return what to raise for a status."""
    known = Reason.__members__.get(details.reason)
    return ERRORS.get(known or code, InferenceError)(code, message, details)


def details_of(trailers: Iterable[tuple[str, str | bytes]]) -> ErrorDetails:
    """Return what trailers say of an error. What cannot be parsed is taken as absent: the code still holds."""
    fields = dict(trailers)
    serialized = fields.get("grpc-status-details-bin", b"")
    status = status_pb2.Status()
    try:
        status.ParseFromString(serialized if isinstance(serialized, bytes) else b"")
        return _unpack(status, _pushback_s(fields.get("grpc-retry-pushback-ms")))
    except DecodeError:
        return ErrorDetails()


def _unpack(status: status_pb2.Status, pushback_s: float | None) -> ErrorDetails:
    info = error_details_pb2.ErrorInfo()
    retry = error_details_pb2.RetryInfo()
    is_ours, retry_after_s = False, pushback_s
    for detail in status.details:
        if detail.Unpack(info):
            is_ours = info.domain == DOMAIN
        elif detail.Unpack(retry):
            retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
    if not is_ours:
        return ErrorDetails(retry_after_s=retry_after_s)
    return ErrorDetails(info.reason, dict(info.metadata), retry_after_s)


def _pushback_s(value: str | bytes | None) -> float | None:
    # gRFC A6: a value that is negative or no integer means that the call must not be retried.
    if value is None:
        return None
    try:
        return int(value) / 1000
    except ValueError:
        return -1.0
