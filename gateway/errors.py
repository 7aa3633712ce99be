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
    ROUTE_NOT_FOUND = "ROUTE_NOT_FOUND"
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


MAY_SUCCEED_LATER = frozenset(
    (Reason.NO_REPLICA_READY, Reason.OVERLOADED, Reason.REPLICA_UNREACHABLE, Reason.REPLICA_FAILED)
)
"""The same request here, without a change of it."""


class Limit(StrEnum):
    """What a peer has met: names are those of `settings.limits`."""

    REQUEST_BYTES = "request_bytes"
    BUFFERED_BYTES = "buffered_bytes"
    HEADER_BYTES = "header_bytes"
    HEADER_BYTES_HARD = "header_bytes_hard"
    FIRST_MESSAGE_TIMEOUT = "first_message_timeout_s"
    UNREAD_CONNECTION_BYTES = "unread_connection_bytes"
    UNREAD_TIMEOUT = "unread_timeout_s"
    CONNECTIONS = "connections"
    CONNECTIONS_PER_ADDRESS = "connections_per_address"
    STREAMS_PER_CONNECTION = "streams_per_connection"
    HANDSHAKE_TIMEOUT = "handshake_timeout_s"
    HANDSHAKES = "handshakes"
    IDLE_TIMEOUT = "idle_timeout_s"
    VANISHED_TIMEOUT = "vanished_timeout_s"
    CONTINUATION_FRAMES = "continuation_frames"
    RESETS = "resets"
    IDLE_FRAMES = "idle_frames"
    HEADER_BYTES_RATE = "header_bytes_rate"
    SETTINGS_FRAMES = "settings_frames"
    UNREAD_REPLIES = "unread_replies"
    TLS_EMPTY_RECORDS = "tls_empty_records"
    MEMORY_SOFT_BYTES = "memory_soft_bytes"
    MEMORY_HARD_BYTES = "memory_hard_bytes"


class Failure(Exception):
    """Ends one request. `retry_after_s` is set where the same request may succeed after that time, `limit` where one
    was met."""

    def __init__(
        self,
        reason: Reason,
        message: str,
        *,
        retry_after_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
        limit: Limit | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.limit = limit
        self.message = message
        self.retry_after_s = retry_after_s
        self.metadata = dict(metadata or {})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.reason}: {self.message}>"


class Refused(Failure):
    """A request that was never begun: no replica has seen it."""


class SettingsError(Exception):
    """A setting that cannot be used. The message says what and where, in one line."""
