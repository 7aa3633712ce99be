from collections.abc import Iterator

import pytest
from grpc import aio


@pytest.fixture(scope="session", autouse=True)
def grpc_keeps_its_poller() -> Iterator[None]:
    """Else grpcio opens one anew whenever there is a server or a channel again, and closes it when it pleases."""
    aio.init_grpc_aio()
    yield
    aio.shutdown_grpc_aio()
