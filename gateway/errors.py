"""What can go wrong, named by what the caller may do next.

`rpc.status` holds the one table from `Reason` to gRPC status code.
"""

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """Goes to the agent as google.rpc.ErrorInfo.reason; docs/errors.md explains each."""

    # The request has to change.
    INVALID_REQUEST = "INVALID_REQUEST"
    MODEL_NOT_FOUND = "MODEL_NOT_FOUND"
    METHOD_NOT_FOUND = "METHOD_NOT_FOUND"
    ENCODING_NOT_SUPPORTED = "ENCODING_NOT_SUPPORTED"
    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
    METADATA_TOO_LARGE = "METADATA_TOO_LARGE"
    CONTINUATION_IMPOSSIBLE = "CONTINUATION_IMPOSSIBLE"
    # The same request may succeed later, or elsewhere.
    NO_REPLICA_READY = "NO_REPLICA_READY"
    OVERLOADED = "OVERLOADED"
    DRAINING = "DRAINING"
    REPLICA_UNREACHABLE = "REPLICA_UNREACHABLE"
    REPLICA_FAILED = "REPLICA_FAILED"
    # Nobody waits for the answer any more.
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    CANCELLED = "CANCELLED"
    # A defect of ours.
    INTERNAL = "INTERNAL"


class Failure(Exception):
    """Ends one request. `retry_after_s` is set where the same request may succeed after that time."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        retry_after_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s
        self.metadata = dict(metadata or {})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.reason}: {self.message}>"


class Refused(Failure):
    """A request that was never begun: no replica has seen it."""


class SettingsError(Exception):
    """A setting that cannot be used. The message says what and where, in one line."""
