"""A connection to one replica, or to control."""

import asyncio
from typing import NamedTuple, Protocol

from gateway.config import LimitSettings, split_address
from gateway.errors import Limit
from gateway.http2.frames import ErrorCode
from gateway.http2.limits import Limits
from gateway.http2.streams import Stream
from gateway.relay.limits import replica_limits
from gateway.relay.socket_connection import Shared, SocketConnection
from gateway.relay.tls_socket import Session, TlsSocket
from gateway.rpc.reports import Reports
from gateway.tls.contexts import Contexts
from gateway.tls.faults import MEANINGS, Cause, HandshakeFault

_KEEPALIVE = b"alive..."


class Keepalive(NamedTuple):
    """When a replica is asked that says nothing while it has streams."""

    interval_s: float
    timeout_s: float


class ConnectionWatcher(Protocol):
    """The pool that a connection belongs to."""

    def on_too_many_pings(self) -> None: ...

    def on_limit(self, limit: Limit) -> None:
        """The replica has met a limit, and loses the connection."""
        ...

    def on_room(self, connection: "ReplicaConnection") -> None:
        """Streams may have ended, or limits have changed."""
        ...

    def on_lost(self, connection: "ReplicaConnection") -> None: ...


class ReplicaConnection(SocketConnection):
    """Ready once the replica's SETTINGS have arrived: a port that accepts and says nothing serves nobody."""

    is_server = False

    def __init__(self, shared: Shared, limits: Limits, watcher: ConnectionWatcher, ready: asyncio.Future[None]) -> None:
        super().__init__(shared, limits)
        self._watcher = watcher
        self._ready = ready
        self.is_ready = False
        self.reports = Reports()
        self._has_received = False
        self._quiet_at: float | None = None
        self._pinged_at: float | None = None

    def on_secured(self, session: Session) -> None:
        if not session.is_http2:
            self.abort(ErrorCode.PROTOCOL_ERROR, MEANINGS[Cause.NO_H2])

    def data_received(self, data: bytes) -> None:
        self._has_received = True
        if not self._is_waiting:
            data = self.http2.pass_on(data)
        if data:
            super().data_received(data)
            self._watcher.on_room(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.is_ready = False
        if not self._ready.done():
            fault = self.http2.fault
            reason = fault.message if fault else "closed without a word of HTTP/2"
            self._ready.set_exception(exc if isinstance(exc, HandshakeFault) else ConnectionError(reason))
        self._watcher.on_lost(self)

    def sweep(self, now_s: float, keepalive: Keepalive) -> None:
        """Ask a replica that says nothing whether it is there, and give it up where it does not answer."""
        is_idle = not self.http2.streams and self._pinged_at is None
        if self._has_received or is_idle or self._quiet_at is None:
            self._has_received = False
            self._quiet_at = now_s
            self._pinged_at = None
        elif self._pinged_at is None:
            if now_s - self._quiet_at >= keepalive.interval_s:
                self._pinged_at = now_s
                self.http2.ping(_KEEPALIVE)
        elif now_s - self._pinged_at >= keepalive.timeout_s:
            self.http2.abort(ErrorCode.NO_ERROR, "no answer to PING")
            self.kill()

    def ask(self, now_s: float) -> None:
        """Ask now, streams or not: `sweep` waits for the answer."""
        if self.is_ready and self._pinged_at is None:
            self._has_received = False
            self._quiet_at = self._pinged_at = now_s
            self.http2.ping(_KEEPALIVE)

    def on_goaway(self, code: int, debug: bytes) -> None:
        if code == ErrorCode.ENHANCE_YOUR_CALM and debug == b"too_many_pings":
            self._watcher.on_too_many_pings()

    def on_limit(self, limit: Limit) -> None:
        self._watcher.on_limit(limit)

    def cancel(self, stream: Stream) -> None:
        """Leave a stream before its end, and its place to another."""
        self.http2.reset(stream, ErrorCode.CANCEL)
        self._watcher.on_room(self)

    async def wait_ready(self) -> None:
        """Raises ConnectionError where the connection is lost before."""
        await self._ready

    def on_peer_ready(self) -> None:
        self.is_ready = True
        if not self._ready.done():
            self._ready.set_result(None)


class Connector:
    """Opens connections to HOST:PORT, by TLS where there is a context for it, or to a Unix socket where the address is
    a path."""

    def __init__(self, shared: Shared, limits: LimitSettings, contexts: Contexts) -> None:
        self._shared = shared
        self.limits = limits
        self._contexts = contexts

    async def connect(self, address: str, watcher: ConnectionWatcher) -> ReplicaConnection:
        """Return a connection that is ready. Raises OSError."""
        loop = asyncio.get_running_loop()
        connection = ReplicaConnection(self._shared, replica_limits(self.limits), watcher, loop.create_future())
        if address.startswith("/"):
            await loop.create_unix_connection(lambda: connection.protocol, address)
        else:
            host, port = split_address(address)
            await loop.create_connection(lambda: self._secured(connection, host), host, port)
        try:
            await connection.wait_ready()
        except BaseException:
            connection.abort(ErrorCode.NO_ERROR, "not ready in time")
            raise
        return connection

    def _secured(self, connection: ReplicaConnection, host: str) -> asyncio.Protocol:
        context, name = self._contexts.replicas, self._contexts.server_name or host
        if context is None:
            return connection.protocol
        empty_records = self.limits.tls_empty_records
        return TlsSocket(connection, context, is_server=False, empty_records=empty_records, server_name=name)
