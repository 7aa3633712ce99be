"""TLS between a socket and a connection of ours.

OpenSSL works on memory, as our HTTP/2 does, and the loop moves plain bytes. The loop's own TLS would not do: when a
handshake fails it closes without the alert that says why, it waits up to 30 s for a peer's goodbye, buffers half a
megabyte more before it asks us to pause, and takes 256 KiB for each connection (uvloop 0.22, sslproto.pyx).
"""

import asyncio
import ssl
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple, Protocol, cast

from gateway.errors import Limit
from gateway.relay.tls_records import Records
from gateway.tls.contexts import HTTP2
from gateway.tls.faults import Cause, HandshakeFault, fault_of
from gateway.tls.spiffe import spiffe_id

_RECORD_BYTES = 16_384
"""The content of one TLS record at most (RFC 8446, 5.1): OpenSSL returns no more at a time."""
_HANDSHAKE, _ALERT = 0x16, 0x15


class Session(NamedTuple):
    """What a handshake has agreed on."""

    version: str
    is_http2: bool
    spiffe_id: str
    """Of the peer; empty where it has none, or has not shown it."""


class Secured(Protocol):
    """The connection above: an asyncio.Protocol that is told when TLS is up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected. What is written from now on leaves after the handshake."""
        ...

    def on_secured(self, session: Session) -> None: ...

    def data_received(self, data: bytes) -> None: ...

    def pause_writing(self) -> None: ...

    def resume_writing(self) -> None: ...

    def on_limit(self, limit: Limit) -> None:
        """The peer has met it, and loses the connection."""
        ...

    def connection_lost(self, exc: Exception | None) -> None:
        """`exc` is a HandshakeFault where TLS failed."""
        ...


class _Phase(Enum):
    HANDSHAKE = "handshake"
    OPEN = "open"
    CLOSED = "closed"
    """We write no more, and read no more."""


class TlsSocket(asyncio.Protocol, asyncio.Transport):
    """The socket's protocol, and the transport of the connection above."""

    def __init__(
        self,
        above: Secured,
        context: ssl.SSLContext,
        *,
        is_server: bool,
        empty_records: int,
        server_name: str | None = None,
        plain_answer: Callable[[bytes], bytes] = lambda data: b"",
    ) -> None:
        """`empty_records`: settings.limits.tls_empty_records. `server_name`: clients, what the peer's certificate has
        to bear. `plain_answer`: what a peer is told that speaks plain text, by what it said."""
        super().__init__()
        self._above = above
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=is_server, server_hostname=server_name)
        self._plain_answer = plain_answer
        self._phase = _Phase.HANDSHAKE
        self._is_addressed = False
        self._has_left = False
        """The peer has said goodbye."""
        self._records = Records()
        self._empty_records_max = empty_records
        self._early: list[bytes | bytearray | memoryview] = []
        self._fault: HandshakeFault | None = None
        self._socket: asyncio.Transport

    # asyncio.Protocol: from the socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast(asyncio.Transport, transport)
        self._above.connection_made(self)
        if self._phase is _Phase.HANDSHAKE:
            self._shake_hands()

    def data_received(self, data: bytes) -> None:
        if self._phase is _Phase.HANDSHAKE and not self._is_addressed:
            self._is_addressed = True
            if data[0] not in (_HANDSHAKE, _ALERT):
                self._socket.write(self._plain_answer(data))
                self._fail(HandshakeFault(Cause.PLAIN_TEXT))
        for piece, records in self._records.split(data):
            self._incoming.write(piece)
            was_open = self._phase is _Phase.OPEN
            if self._phase is _Phase.HANDSHAKE:
                self._shake_hands()
            if self._phase is _Phase.OPEN:
                self._read(records if was_open else 0)  # those of the handshake are no content
            if self._phase is _Phase.CLOSED:
                break

    def pause_writing(self) -> None:
        self._above.pause_writing()

    def resume_writing(self) -> None:
        self._above.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._phase is _Phase.HANDSHAKE:
            self._fault = HandshakeFault(Cause.CLOSED, str(exc) if exc else "")
        self._phase = _Phase.CLOSED
        self._above.connection_lost(self._fault or exc)

    # asyncio.Transport: from the connection above.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._phase is _Phase.OPEN:
            try:
                self._tls.write(data)
            except ssl.SSLError as error:
                self._fail(fault_of(error))
            else:
                self._send()
        elif self._phase is _Phase.HANDSHAKE:
            self._early.append(data)

    def close(self) -> None:
        """Say goodbye, and do not wait for the peer's: HTTP/2 says by itself what is complete."""
        if self._phase is _Phase.OPEN:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass  # It wants to read.
            self._send()
        self._phase = _Phase.CLOSED
        self._socket.close()

    def abort(self) -> None:
        self._phase = _Phase.CLOSED
        self._socket.abort()

    def pause_reading(self) -> None:
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        self._socket.resume_reading()

    def is_closing(self) -> bool:
        return self._phase is _Phase.CLOSED or self._socket.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket.get_extra_info(name, default)

    def get_write_buffer_size(self) -> int:
        return self._socket.get_write_buffer_size()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._socket.set_write_buffer_limits(high, low)

    # Ours.

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
        except ssl.SSLError as error:
            self._fail(fault_of(error))
        else:
            self._phase = _Phase.OPEN
            early, self._early = self._early, []
            self.write(b"".join(early))
            self._above.on_secured(self._session())

    def _session(self) -> Session:
        tls = self._tls
        names: Any = (tls.getpeercert() or {}).get("subjectAltName", ())
        return Session(tls.version() or "", tls.selected_alpn_protocol() == HTTP2, spiffe_id(names))

    def _read(self, records: int) -> None:
        """Read what can be read, now that so many records more are whole."""
        chunks: list[bytes] = []
        fault = self._decrypt(chunks)
        if fault is None and self._records.count(records, chunks) > self._empty_records_max:
            fault = self._flood()
        if chunks:
            self._above.data_received(b"".join(chunks) if len(chunks) > 1 else chunks[0])
        if fault is not None:
            self._fail(fault)
        elif self._has_left:
            self.close()
        elif self._outgoing.pending:
            self._send()

    def _decrypt(self, chunks: list[bytes]) -> HandshakeFault | None:
        """Append all that is whole, one record each. Return what is wrong with the rest."""
        tls, incoming = self._tls, self._incoming
        try:
            while incoming.pending or tls.pending():
                chunk = tls.read(_RECORD_BYTES)
                if not chunk:
                    self._has_left = True
                    break
                chunks.append(chunk)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            return fault_of(error)
        return None

    def _flood(self) -> HandshakeFault:
        """The peer talks more of TLS than by it, as in a flood of key updates: each costs as much as ten frames, and
        OpenSSL 3 reads and answers any number of them."""
        self._above.on_limit(Limit.TLS_EMPTY_RECORDS)
        return HandshakeFault(Cause.BROKEN, "too much that carries nothing")

    def _send(self) -> None:
        out = self._outgoing.read()
        if out:
            self._socket.write(out)

    def _fail(self, fault: HandshakeFault) -> None:
        """Send the alert that OpenSSL has made of it, and close."""
        self._fault = fault
        self._phase = _Phase.CLOSED
        self._send()
        self._socket.close()
