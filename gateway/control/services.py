"""The grpc.aio servers of control: one for agents, behind the workers, and one for operators."""

import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio

from gateway.errors import SettingsError

_OPTIONS = (
    ("grpc.so_reuseport", 0),
    # Agents' streams come over few connections; grpcio would refuse some below its own limit (measured).
    ("grpc.http.overload_protection", 0),
)


@asynccontextmanager
async def running_server(
    target: str, handlers: Sequence[grpc.GenericRpcHandler]
) -> AsyncGenerator[grpc.aio.Server, None]:
    """Serve on `unix:PATH`, whose file only its owner may use, or on `HOST:PORT`. Raises SettingsError."""
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers(tuple(handlers))
    try:
        _bind(server, target)
        await server.start()
        try:
            yield server
        finally:
            _remove(target)
    finally:
        await server.stop(0)


def _bind(server: grpc.aio.Server, target: str) -> None:
    mask = os.umask(0o177)
    try:
        server.add_insecure_port(target)
    except RuntimeError:
        raise SettingsError(f"cannot listen on {target.removeprefix('unix:')}: is it in use?") from None
    finally:
        os.umask(mask)


def _remove(target: str) -> None:
    if target.startswith("unix:"):
        Path(target.removeprefix("unix:")).unlink(missing_ok=True)
