"""gRPC's own descriptors, which it opens with its first call and keeps as long as anything of it is in use.

For each module, not for the session: AnyIO runs all tests on the loop of the widest async fixture, and others have
loops of their own.
"""

from collections.abc import AsyncIterator

import grpc
import pytest

from gateway.client import Client
from tests.gateway.client.fakes import serving


@pytest.fixture(scope="module", autouse=True)
async def grpc_stays_in_use(anyio_backend: str) -> AsyncIterator[None]:
    in_use = grpc.ssl_channel_credentials()
    async with serving() as server, Client(server.address) as client:
        await client.models()
    yield
    del in_use
