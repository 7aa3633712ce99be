import asyncio
from collections.abc import Iterator

import pytest
from grpc import aio


@pytest.fixture(scope="session", autouse=True)
def grpc_keeps_its_poller() -> Iterator[None]:
    """Else grpcio opens one anew whenever there is a server or a channel again, and closes it when it pleases."""
    # It wants a current loop at its birth, and there is none between two tests.
    with asyncio.Runner() as runner:
        runner.run(init())
    yield
    with asyncio.Runner() as runner:
        runner.run(shut_down())


async def init() -> None:
    aio.init_grpc_aio()


async def shut_down() -> None:
    aio.shutdown_grpc_aio()
