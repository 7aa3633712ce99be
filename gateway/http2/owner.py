"""Who is told what happens on a connection."""

from typing import Protocol

from gateway.errors import Limit
from gateway.http2.headers import FieldList
from gateway.http2.streams import Stream


class ConnectionOwner(Protocol):
    """Who holds the socket."""

    def on_output(self) -> None:
        """There is output again. Called from inside other calls: flush later."""
        ...

    def on_request(self, stream: Stream, fields: FieldList, is_end: bool) -> None:
        """Servers: a request has begun. Sets `stream.receiver`, or answers at once."""
        ...

    def on_peer_ready(self) -> None:
        """The peer's first SETTINGS are in force."""
        ...

    def on_goaway(self, code: int, debug: bytes) -> None:
        """Clients: the peer takes no new streams; those that it cannot have processed were told REFUSED_STREAM.
        Servers: the peer leaves, and its streams end by themselves."""
        ...

    def on_ping_ack(self, payload: bytes) -> None: ...

    def on_limit(self, limit: Limit) -> None:
        """The peer has met a limit: a stream was refused, or the connection is about to end."""
        ...
