"""Connections to replicas by TLS, over real sockets of uvloop: why one fails stands in the error."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from gateway.config import LimitSettings, join_address
from gateway.errors import Limit
from gateway.http2 import frames
from gateway.relay.replica_connection import Connector, ReplicaConnection
from gateway.relay.socket_connection import Shared
from gateway.tls.contexts import Contexts, server_context
from gateway.tls.material import AgentTls, Identity, Material, ReplicaTls
from tests.certificates import Authority

pytestmark = pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})])

AUTHORITY = Authority()
REPLICA, GATEWAY = AUTHORITY.issue("replica.internal", "127.0.0.1"), AUTHORITY.issue("gateway")


class Pool:
    """Does nothing (relay.replica_connection.ConnectionWatcher)."""

    def on_room(self, connection: ReplicaConnection) -> None: ...

    def on_lost(self, connection: ReplicaConnection) -> None: ...

    def on_too_many_pings(self) -> None: ...

    def on_limit(self, limit: Limit) -> None: ...


@asynccontextmanager
async def listening(context: ssl.SSLContext | None) -> AsyncGenerator[str]:
    """A replica that says SETTINGS, and nothing more."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(frames.settings([]))
            while await reader.read(1_024):
                pass
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield join_address(*server.sockets[0].getsockname())


def tls(identity: Identity | None = GATEWAY, name: str = "", ca: str = AUTHORITY.ca) -> ReplicaTls:
    return ReplicaTls(ca, identity, name)


async def connect(address: str, material: ReplicaTls | None) -> ReplicaConnection:
    loop = asyncio.get_running_loop()
    shared = Shared.made(loop.call_soon, loop.time)
    connector = Connector(shared, LimitSettings(), Contexts(Material(None, material)))
    async with asyncio.timeout(20):
        return await connector.connect(address, Pool())


@pytest.mark.parametrize("name", ["", "replica.internal"])
async def test_a_replica_is_who_its_address_or_its_name_says(name: str) -> None:
    async with listening(server_context(AgentTls(REPLICA, AUTHORITY.ca))) as address:
        connection = await connect(address, tls(name=name))
        assert connection.is_ready
        connection.close()


@pytest.mark.parametrize(
    ("material", "reason"),
    [
        (tls(name="another.internal"), r"cannot be trusted \(Hostname mismatch.*another\.internal"),
        (tls(ca=Authority("another").ca), r"cannot be trusted \(self-signed|cannot be trusted \(unable to get"),
    ],
)
async def test_a_replica_that_is_not_trusted_is_told_so(material: ReplicaTls, reason: str) -> None:
    async with listening(server_context(AgentTls(REPLICA, AUTHORITY.ca))) as address:
        with pytest.raises(ConnectionError, match=reason):
            await connect(address, material)


async def test_a_replica_that_speaks_plain_text_is_told_apart() -> None:
    async with listening(None) as address:
        with pytest.raises(ConnectionError, match="plain text where TLS is spoken"):
            await connect(address, tls())


async def test_a_replica_has_to_agree_to_http2() -> None:
    context = server_context(AgentTls(REPLICA))
    context.set_alpn_protocols(["http/1.1"])
    async with listening(context) as address:
        with pytest.raises(ConnectionError, match="has not agreed to HTTP/2"):
            await connect(address, tls())


async def test_plain_text_to_a_replica_that_speaks_tls_fails() -> None:
    async with listening(server_context(AgentTls(REPLICA))) as address:
        with pytest.raises(ConnectionError):
            await connect(address, None)
