"""Streams and their states (RFC 9113, section 5.1), as one total table."""

from collections import deque
from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Final, Protocol

from gateway.http2.headers import Fields

if TYPE_CHECKING:
    from gateway.http2.passage import Passage


class State(IntEnum):
    IDLE = 0
    OPEN = 1
    HALF_CLOSED_LOCAL = 2
    """We have ended our side."""
    HALF_CLOSED_REMOTE = 3
    CLOSED = 4
    RESET = 5
    """Closed by a reset of ours: what the peer sent before it knew is ignored."""


class Event(IntEnum):
    RECEIVE_HEADERS = 0
    RECEIVE_DATA = 1
    RECEIVE_END = 2
    RECEIVE_RESET = 3
    RECEIVE_WINDOW = 4
    SEND_HEADERS = 5
    SEND_DATA = 6
    SEND_END = 7
    SEND_RESET = 8


class Verdict(IntEnum):
    """What a frame means that its stream's state does not allow."""

    IGNORE = 0
    STREAM_CLOSED = 1
    """Stream error STREAM_CLOSED."""
    CONNECTION_CLOSED = 2
    """Connection error STREAM_CLOSED."""
    PROTOCOL_ERROR = 3
    """Connection error PROTOCOL_ERROR."""
    DEFECT = 4
    """Ours: we must not send that."""


def _row(*outcomes: State | Verdict) -> dict[Event, State | Verdict]:
    return dict(zip(Event, outcomes, strict=True))


# In the order of Event: receive headers, data, end, reset, window; send headers, data, end, reset.
TRANSITIONS: Final[Mapping[State, Mapping[Event, State | Verdict]]] = {
    State.IDLE: _row(
        State.OPEN, Verdict.PROTOCOL_ERROR, Verdict.PROTOCOL_ERROR, Verdict.PROTOCOL_ERROR, Verdict.PROTOCOL_ERROR,
        State.OPEN, Verdict.DEFECT, Verdict.DEFECT, Verdict.DEFECT,
    ),
    State.OPEN: _row(
        State.OPEN, State.OPEN, State.HALF_CLOSED_REMOTE, State.CLOSED, State.OPEN,
        State.OPEN, State.OPEN, State.HALF_CLOSED_LOCAL, State.RESET,
    ),
    State.HALF_CLOSED_LOCAL: _row(
        State.HALF_CLOSED_LOCAL, State.HALF_CLOSED_LOCAL, State.CLOSED, State.CLOSED, State.HALF_CLOSED_LOCAL,
        Verdict.DEFECT, Verdict.DEFECT, Verdict.DEFECT, State.RESET,
    ),
    State.HALF_CLOSED_REMOTE: _row(
        Verdict.STREAM_CLOSED, Verdict.STREAM_CLOSED, Verdict.STREAM_CLOSED, State.CLOSED, State.HALF_CLOSED_REMOTE,
        State.HALF_CLOSED_REMOTE, State.HALF_CLOSED_REMOTE, State.CLOSED, State.RESET,
    ),
    State.CLOSED: _row(
        Verdict.CONNECTION_CLOSED, Verdict.STREAM_CLOSED, Verdict.STREAM_CLOSED, Verdict.IGNORE, Verdict.IGNORE,
        Verdict.DEFECT, Verdict.DEFECT, Verdict.DEFECT, Verdict.DEFECT,
    ),
    State.RESET: _row(
        Verdict.IGNORE, Verdict.IGNORE, Verdict.IGNORE, Verdict.IGNORE, Verdict.IGNORE,
        Verdict.DEFECT, Verdict.DEFECT, Verdict.DEFECT, Verdict.DEFECT,
    ),
}  # fmt: skip


class StreamReceiver(Protocol):
    """Who is told what arrives on one stream."""

    def on_headers(self, fields: Fields, is_end: bool) -> None:
        """A response's headers (also 1xx), or trailers of either side."""
        ...

    def on_data(self, data: bytes, start: int, end: int) -> None:
        """One DATA frame, unpadded and without flags, stands with its nine-byte header at data[start:end]. The
        connection's window is credited already; the stream's is the receiver's to credit."""
        ...

    def on_last_data(self, payload: bytes) -> None:
        """The payload of a DATA frame that ends the stream; possibly empty."""
        ...

    def on_reset(self, code: int) -> None:
        """The stream has ended: the peer reset it, or REFUSED_STREAM: the peer cannot have processed it. The peer's
        breach of a rule ends it with the code that was sent to the peer."""
        ...

    def on_sent(self, size: int) -> None:
        """`size` bytes that waited for a window have left."""
        ...

    def on_connection_lost(self) -> None:
        """The stream has ended with its connection."""
        ...


class Nobody:
    """Receives where nobody wants to know (StreamReceiver)."""

    def on_headers(self, fields: Fields, is_end: bool) -> None: ...
    def on_data(self, data: bytes, start: int, end: int) -> None: ...
    def on_last_data(self, payload: bytes) -> None: ...
    def on_reset(self, code: int) -> None: ...
    def on_sent(self, size: int) -> None: ...
    def on_connection_lost(self) -> None: ...


NOBODY: Final[StreamReceiver] = Nobody()


class Stream:
    """One stream of one connection. Only its connection writes here, but for `receiver`."""

    __slots__ = (
        "content_left",
        "has_headers",
        "id",
        "is_answered",
        "is_plain",
        "is_receiving",
        "opened_at",
        "passage",
        "pending",
        "pending_trailers",
        "receive_window",
        "receiver",
        "send_window",
        "state",
        "uncredited",
        "wants_end",
        "wire_id",
    )

    def __init__(self, stream_id: int, send_window: int, receive_window: int, receiver: StreamReceiver) -> None:
        self.id = stream_id
        self.wire_id = stream_id.to_bytes(4, "big")
        self.state = State.OPEN
        self.is_receiving = True
        """The state allows DATA from the peer."""
        self.is_plain = False
        """DATA goes to the receiver without another look: receiving, headers have arrived, and no content-length. One
        flag beside all these, because every frame of a request asks."""
        self.passage: Passage | None = None
        """Where whole messages go on meanwhile. What has passed is missing from `receive_window` when it ends."""
        self.is_answered = False
        """We have sent headers."""
        self.opened_at = 0.0
        """Set by servers: the connection's clock, seconds."""
        self.has_headers = False
        """The peer's first header list (not 1xx) has arrived: the next one is trailers."""
        self.content_left: int | None = None
        """Of what content-length promised."""
        self.send_window = send_window
        self.receive_window = receive_window
        self.uncredited = 0
        """Consumed bytes that the peer has not been told of."""
        self.pending: deque[bytes | memoryview] | None = None
        """Payloads that wait for a window, none of them empty."""
        self.pending_trailers: bytes | None = None
        """An encoded block that follows `pending` and ends our side."""
        self.wants_end = False
        """END_STREAM follows `pending`."""
        self.receiver = receiver

    def __repr__(self) -> str:
        return f"<Stream {self.id} {self.state.name} send {self.send_window} receive {self.receive_window}>"

    def leave(self) -> None:
        """Its receiver has no more to do with it. Who would go on holding it would be held by it, and both by nobody
        else: only the garbage collector would find them."""
        self.receiver = NOBODY
        self.passage = None

    def close(self, state: State) -> None:
        """Leave nothing behind that could be sent or received."""
        self.state = state
        self.is_receiving = self.is_plain = False
        self.pending = self.pending_trailers = None
        # So that Outbound.forward, which asks no state, cannot mistake it for an open one.
        self.send_window = -1


class ResetStreams:
    """Streams that we have reset. The peer may not know yet, so what it sends on them is ignored (5.1). Bounded: once
    one is forgotten, all up to it are taken for such, since ids rise."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._ids: dict[int, None] = {}
        self._forgotten = 0

    def __contains__(self, stream_id: int) -> bool:
        return stream_id <= self._forgotten or stream_id in self._ids

    def add(self, stream_id: int) -> None:
        self._ids[stream_id] = None
        if len(self._ids) > self._capacity:
            oldest = next(iter(self._ids))
            del self._ids[oldest]
            self._forgotten = max(self._forgotten, oldest)
