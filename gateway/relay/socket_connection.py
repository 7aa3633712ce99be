"""What both kinds of socket have in common: an HTTP/2 connection on an asyncio transport."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple, Self, cast

from gateway.errors import Limit
from gateway.http2.codec import Codec
from gateway.http2.connection import Connection
from gateway.http2.frames import ErrorCode
from gateway.http2.headers import FieldList
from gateway.http2.limits import Limits
from gateway.http2.streams import State, Stream
from gateway.relay.flusher import Flusher
from gateway.relay.tls_socket import Session
from gateway.relay.turns import Turns

_LARGE_READ_BYTES: Final = 128 * 1024
"""Of an agent: uvloop reads 250 KiB at once, up to 32 times in one turn."""
_MANY_BYTES: Final = 8 * 1024
"""Of small frames: more than a few requests, and more of the kind will come."""


class Shared(NamedTuple):
    """What all connections of a worker have in common."""

    flusher: Flusher
    turns: Turns
    codec: Codec
    clock: Callable[[], float]
    """Monotonic, seconds."""

    @classmethod
    def made(cls, call_soon: Callable[[Callable[[], None]], object], clock: Callable[[], float]) -> Self:
        """`call_soon` is that of the loop."""
        flusher = Flusher(call_soon)
        return cls(flusher, Turns(call_soon, clock, flusher.flush), Codec(), clock)


class SocketConnection:
    """An asyncio protocol around `http2`, and its owner (http2.connection.ConnectionOwner)."""

    is_server: bool
    http1_answer = b""
    """For a peer that speaks HTTP/1 to a server."""

    def __init__(self, shared: Shared, limits: Limits) -> None:
        self._turns = shared.turns
        self._transport: asyncio.Transport | None = None
        self.is_closed = False
        self.is_paused = False
        """The peer does not read."""
        self._is_waiting = False
        """For a turn: what comes before it is not looked at."""
        self._is_reading = True
        self.on_output = partial(shared.flusher.mark, self)
        self.http2 = Connection(
            self,
            is_server=self.is_server,
            limits=limits,
            codec=shared.codec,
            clock=shared.clock,
            http1_answer=self.http1_answer,
        )

    @property
    def protocol(self) -> asyncio.Protocol:
        """Itself: a loop asks for the methods and not for the class, of which no compiled class can be a subclass."""
        return cast(asyncio.Protocol, self)

    @property
    def is_closing(self) -> bool:
        """The socket is closed as soon as its peer has taken what is waiting."""
        return self._transport is not None and self._transport.is_closing()

    # asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.flush()

    def on_secured(self, session: Session) -> None:
        """TLS is up (relay.tls_socket.Secured)."""

    def eof_received(self) -> None:
        """Nothing more comes: the transport closes itself."""

    def data_received(self, data: bytes) -> None:
        if self._is_waiting:
            self.http2.hold(data)
            self._stop_reading()
            return
        http2 = self.http2
        http2.receive(data)
        begun_at = http2.received_at
        while http2.has_more and not self._turns.is_over(begun_at):
            http2.receive(b"")
        if http2.is_finished:
            self.close()
        elif self.is_server and len(data) >= _LARGE_READ_BYTES:
            self._wait_a_turn()
            self._stop_reading()
        elif http2.has_more:
            self._wait_a_turn()
            # Else its turn mostly comes before anything else is read: to stop and begin again are two system calls.
            if len(data) >= _MANY_BYTES:
                self._stop_reading()

    def pause_writing(self) -> None:
        self.is_paused = True
        self.http2.pause()

    def resume_writing(self) -> None:
        self.is_paused = False
        self.http2.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self._transport = None
        self._end_streams()

    # http2.connection.ConnectionOwner.

    def on_request(self, stream: Stream, fields: FieldList, is_end: bool) -> None:
        raise NotImplementedError

    def on_peer_ready(self) -> None:
        raise NotImplementedError

    def on_goaway(self, code: int, debug: bytes) -> None:
        """No new streams; those that are open end by themselves."""

    def on_ping_ack(self, payload: bytes) -> None:
        """Nothing waits for an acknowledgement."""

    def on_limit(self, limit: Limit) -> None:
        raise NotImplementedError

    # Ours.

    def flush(self) -> None:
        transport = self._transport
        if transport is None:
            return
        is_long = self.http2.long_bytes > 0
        out = self.http2.take_output()
        if is_long:
            transport.writelines(out)
            self.http2.go_on()
        elif out:
            transport.write(b"".join(out) if len(out) > 1 else out[0])
        if self.http2.is_draining and self.http2.is_finished:
            transport.close()

    def drain(self) -> None:
        """Take no new streams, and close when the last one has ended."""
        self.http2.drain()

    def close(self) -> None:
        """Write what is waiting and close the socket; streams that are left end with it."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self, code: ErrorCode, message: str) -> None:
        self.http2.abort(code, message)
        self.close()

    def kill(self) -> None:
        """Close the socket although its peer may take nothing of what is waiting."""
        if self._transport is not None:
            self._transport.abort()

    def _wait_a_turn(self) -> None:
        """Look at nothing until others have had their turn."""
        self._is_waiting = True
        self._turns.wait(self._go_on)

    def _stop_reading(self) -> None:
        if self._transport is not None and self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()

    def _go_on(self) -> None:
        self._is_waiting = False
        if self._transport is None or self._transport.is_closing():
            return
        self.http2.receive(b"")
        if self.http2.is_finished:
            self.close()
        elif self.http2.has_more:
            self._wait_a_turn()
        elif not self._is_reading:
            self._is_reading = True
            self._transport.resume_reading()

    def _end_streams(self) -> None:
        streams = list(self.http2.streams.values())
        self.http2.streams.clear()
        for stream in streams:
            stream.state = State.CLOSED
            stream.receiver.on_connection_lost()
