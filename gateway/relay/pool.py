"""Connections to one replica, or to control."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Protocol

from gateway import logs
from gateway.config import ConnectSettings
from gateway.errors import Limit
from gateway.http2.frames import ErrorCode
from gateway.relay.replica_connection import ConnectionWatcher, Keepalive, ReplicaConnection

_log = logging.getLogger(__name__)


class Acquirer(Protocol):
    """Who waits for a connection with room for one more stream. Told once, by one of these, at once or later."""

    def on_connected(self, connection: ReplicaConnection) -> None: ...

    def on_connect_failed(self, message: str) -> None: ...


class Connector(Protocol):
    """Opens connections (relay.replica_connection.Connector)."""

    async def connect(self, address: str, watcher: ConnectionWatcher) -> ReplicaConnection:
        """Return a connection that is ready. Raises OSError."""
        ...


class PoolWatcher(Protocol):
    """Is told what a pool finds out (relay.replica_watch)."""

    def on_usable(self, is_usable: bool) -> None:
        """Whether a stream may come up there at once."""
        ...

    def on_limit(self, limit: Limit) -> None:
        """The replica has met a limit, and lost a connection."""
        ...


class Pool:
    """Keeps one connection up and opens more where the replica limits the streams of each. After a failure it tries
    again by itself, ever more slowly, and tells its watcher that it is of no use until that has succeeded."""

    def __init__(
        self,
        address: str,
        settings: ConnectSettings,
        connector: Connector,
        spawn: Callable[[Coroutine[None, None, None]], object],
        rng: random.Random,
        watcher: PoolWatcher,
    ) -> None:
        self.address = address
        self._settings = settings
        self._connector = connector
        self._spawn = spawn
        self._rng = rng
        self._watcher = watcher
        self._connections: list[ReplicaConnection] = []
        self._waiting: deque[Acquirer] = deque()
        self._is_connecting = False
        self._is_closed = False
        self._wake = asyncio.Event()
        self._failures = 0
        self._keepalive = Keepalive(settings.keepalive_interval_s, settings.keepalive_timeout_s)

    def __repr__(self) -> str:
        return f"<Pool {self.address} [{self.ready_connections} up, {len(self._waiting)} waiting]>"

    @property
    def ready_connections(self) -> int:
        return sum(connection.is_ready for connection in self._connections)

    def acquire(self, acquirer: Acquirer) -> None:
        connection = self._with_room()
        if connection is not None and not self._waiting:
            acquirer.on_connected(connection)
            return
        self._waiting.append(acquirer)
        self.warm()

    def forget(self, acquirer: Acquirer) -> None:
        """It does not wait any more."""
        if acquirer in self._waiting:
            self._waiting.remove(acquirer)

    def warm(self) -> None:
        """Begin to connect unless that is under way; then do not wait until the next try."""
        self._wake.set()
        if not self._is_connecting and not self._is_closed:
            self._is_connecting = True
            self._spawn(self._connect())

    def sweep(self, now_s: float) -> None:
        """Find out which connections lead nowhere any more."""
        for connection in tuple(self._connections):
            connection.sweep(now_s, self._keepalive)
            if connection.http2.is_exhausted and not connection.http2.is_draining:
                connection.drain()

    def ask(self, now_s: float) -> None:
        """There is doubt: ask on each connection, so that a sweep soon ends those where nothing answers."""
        for connection in self._connections:
            connection.ask(now_s)

    def close(self) -> None:
        """The replica is gone: streams finish, nothing new begins."""
        self._is_closed = True
        self._wake.set()
        self._fail_waiting("the replica is gone")
        for connection in list(self._connections):
            connection.drain()
            if not connection.http2.streams:
                connection.close()

    # relay.replica_connection.ConnectionWatcher.

    def on_room(self, connection: ReplicaConnection) -> None:
        if self._waiting and connection.is_ready:
            self._serve()

    def on_too_many_pings(self) -> None:
        """The replica permits fewer (gRFC A8): the default of gRPC servers is one in five minutes."""
        self._keepalive = Keepalive(self._keepalive.interval_s * 2, self._keepalive.timeout_s)

    def on_limit(self, limit: Limit) -> None:
        self._watcher.on_limit(limit)

    def on_lost(self, connection: ReplicaConnection) -> None:
        if connection not in self._connections:
            return
        self._connections.remove(connection)
        if not self._with_room() and not self._is_closed:
            # Untried after a farewell; else not to be used until a new connection is up.
            if not connection.http2.is_draining or connection.http2.fault is not None:
                self._watcher.on_usable(False)
            self.warm()

    # Ours.

    def _with_room(self) -> ReplicaConnection | None:
        for connection in self._connections:
            if connection.is_ready and connection.http2.can_open:
                return connection
        return None

    def _serve(self) -> None:
        while self._waiting and (connection := self._with_room()) is not None:
            self._waiting.popleft().on_connected(connection)
        if self._waiting:
            self.warm()

    def _fail_waiting(self, message: str) -> None:
        waiting, self._waiting = self._waiting, deque()
        for acquirer in waiting:
            acquirer.on_connect_failed(message)

    async def _connect(self) -> None:
        """Connect, however often it takes."""
        try:
            while not self._is_closed:
                try:
                    connection = await self._connect_once()
                except (OSError, TimeoutError) as error:
                    self._on_failure(f"{self.address}: {error or 'no answer in time'}")
                    await self._pause()
                else:
                    self._failures = 0
                    self._connections.append(connection)
                    break
        finally:
            self._is_connecting = False
        if not self._is_closed:
            self._watcher.on_usable(True)
            self._serve()

    async def _connect_once(self) -> ReplicaConnection:
        async with asyncio.timeout(self._settings.timeout_s):
            connection = await self._connector.connect(self.address, self)
        if self._is_closed:
            connection.abort(ErrorCode.NO_ERROR, "the replica is gone")
        return connection

    def _on_failure(self, message: str) -> None:
        if self._is_closed:
            return  # Another pool speaks for the replica by now.
        self._failures += 1
        if self._failures == 1:
            _log.warning(logs.line("connect_failed", address=self.address, reason=message))
        self._watcher.on_usable(False)
        self._fail_waiting(message)

    async def _pause(self) -> None:
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._backoff_s()):
                await self._wake.wait()

    def _backoff_s(self) -> float:
        settings = self._settings
        pause_s = min(settings.backoff_max_s, settings.backoff_base_s * 1.6 ** (self._failures - 1))
        return pause_s * self._rng.uniform(1 - settings.backoff_jitter, 1 + settings.backoff_jitter)
