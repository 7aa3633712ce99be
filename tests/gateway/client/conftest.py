"""gRPC's own descriptors, which it opens with its first call and keeps for the life of the process."""

import pytest

from gateway.client import Client
from tests.gateway.client.fakes import serving


@pytest.fixture(scope="session", autouse=True)
async def grpc_has_its_descriptors(anyio_backend: str) -> None:
    async with serving() as server, Client(server.address) as client:
        await client.models()
