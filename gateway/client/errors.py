"""What a call can end with, by what the caller may do next.

    InferenceError
    ├── RequestRejected     the request has to change
    ├── Unavailable         the same request may succeed later
    ├── DeadlineExceeded    `timeout_s` has passed
    ├── Cancelled           by `cancel()`, or by the server's operator
    ├── DataLoss            a message of the stream is missing or doubled
    └── Internal            a defect of the server

Whoever only wants to know whether to try again reads `retry_makes_sense` and `retry_after_s`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from gateway.rpc.status import Code

__all__ = [
    "Cancelled",
    "ContinuationImpossible",
    "DataLoss",
    "DeadlineExceeded",
    "Draining",
    "EncodingNotSupported",
    "InferenceError",
    "Internal",
    "InvalidRequest",
    "MessageTooLarge",
    "MetadataTooLarge",
    "MethodNotFound",
    "ModelNotFound",
    "NoReplicaReady",
    "Overloaded",
    "PermissionDenied",
    "ReplicaFailed",
    "ReplicaUnreachable",
    "RequestRejected",
    "RouteNotFound",
    "Unauthenticated",
    "Unavailable",
]


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """What a status carries beside its code and message."""

    reason: str = ""
    """google.rpc.ErrorInfo.reason, where its domain is ours."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """google.rpc.ErrorInfo.metadata."""
    retry_after_s: float | None = None
    """google.rpc.RetryInfo, else `grpc-retry-pushback-ms`; negative where the server asks not to try again."""


class InferenceError(Exception):
    """A call that did not end well. Raised itself only for codes that have no class of their own."""

    is_temporary: ClassVar[bool] = False

    def __init__(self, code: Code, message: str, details: ErrorDetails | None = None) -> None:
        super().__init__(message)
        details = details or ErrorDetails()
        self.code = code
        self.message = message
        self.reason = details.reason
        """One of gateway.errors.Reason; empty where the server named none."""
        self.metadata = details.metadata
        """More on the reason, for example the field of an invalid request."""
        is_refused = details.retry_after_s is not None and details.retry_after_s < 0
        self.retry_after_s = None if is_refused else details.retry_after_s
        """How long the server asks to wait before a retry; None where it does not say."""
        self.retry_makes_sense = not is_refused and (self.is_temporary or self.retry_after_s is not None)
        """Whether the same request may succeed later."""

    def __str__(self) -> str:
        return f"{self.reason or self.code.name}: {self.message}"


class RequestRejected(InferenceError):
    """The request has to change: sent again as it is, it fails again."""


class InvalidRequest(RequestRejected):
    """A field has a value that is out of range, contradicts another, or cannot be honoured by the engine."""

    @property
    def field(self) -> str:
        """The field's name in the contract, for example `sampling.top_p`; empty where no single one is at fault."""
        return self.metadata.get("field", "")


class ModelNotFound(RequestRejected):
    """No replica serves the model."""


class RouteNotFound(RequestRejected):
    """The gateway has no route for such a request."""


class MethodNotFound(RequestRejected):
    """The server does not have the method."""


class EncodingNotSupported(RequestRejected):
    """The server cannot read the request's compression."""


class MessageTooLarge(RequestRejected):
    """The request is above the server's limit."""


class MetadataTooLarge(RequestRejected):
    """The metadata are above the server's limit."""


class ContinuationImpossible(RequestRejected):
    """The replica cannot go on from where another one stopped."""


class Unauthenticated(RequestRejected):
    """The API key or the certificate is missing or not known."""


class PermissionDenied(RequestRejected):
    """The API key or the certificate does not allow this."""


class Unavailable(InferenceError):
    """The same request may succeed later, or elsewhere. Raised itself where no server could be reached."""

    is_temporary = True


class NoReplicaReady(Unavailable):
    """No replica that serves the model is ready."""


class Overloaded(Unavailable):
    """The request was shed: too much is waiting already."""


class Draining(Unavailable):
    """The server is about to leave and takes nothing new."""


class ReplicaUnreachable(Unavailable):
    """No connection to a replica could be made."""


class ReplicaFailed(Unavailable):
    """The replica died while it worked on the request. What was received is not the whole answer."""


class DeadlineExceeded(InferenceError):
    """`timeout_s` has passed."""


class Cancelled(InferenceError):
    """The call was cancelled: by `cancel()`, by leaving the stream early, or by the server."""


class DataLoss(InferenceError):
    """A message of the stream is missing, doubled or out of order, so the text is not what the model wrote."""


class Internal(InferenceError):
    """A defect of the server."""
