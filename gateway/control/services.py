"""The grpc.aio servers of control: one for agents, behind the workers, and one for operators."""

import ipaddress
import os
import socket
import stat
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio

from gateway.config import split_address
from gateway.errors import SettingsError

_PATH_BYTES_MAX = 107
"""sun_path of unix(7)."""

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
        yield server
    finally:
        await server.stop(0)
        _remove(target)


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


def runtime_directory() -> Path:
    """Return a directory that only this user can look into, made where it is missing. Raises SettingsError."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    uid = os.getuid()
    directory = Path(f"/tmp/inference-gateway-{uid}")
    if base and Path(base).is_dir():
        directory = Path(base, "inference-gateway")
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise SettingsError(f"admin_listen: {directory}: {error.strerror}") from None
    # Somebody else may have made it first: /tmp is everybody's.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
        raise SettingsError(f"admin_listen: {directory} is not a directory that only this user can use")
    return directory


def admin_target(admin_listen: str, port: int) -> str:
    """Return where grpc listens for operators; the agents' `port` names the default path. Raises SettingsError."""
    if admin_listen and "/" not in admin_listen:
        try:
            host, _ = split_address(admin_listen)
            is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            raise SettingsError(f"admin_listen: {admin_listen!r} is neither a path nor HOST:PORT") from None
        if not is_loopback:
            raise SettingsError(f"admin_listen: {host} is not loopback, and operators are not asked who they are")
        return admin_listen
    path = Path(admin_listen).absolute() if admin_listen else runtime_directory() / f"admin-{port}.sock"
    _make_room(path)
    return f"unix:{path}"


def _make_room(path: Path) -> None:
    """Remove the socket that a killed process has left."""
    if len(os.fsencode(path)) > _PATH_BYTES_MAX:
        raise SettingsError(f"admin_listen: {path} is longer than {_PATH_BYTES_MAX} bytes")
    if not path.exists():
        return
    if not path.is_socket():
        raise SettingsError(f"admin_listen: {path} is there already and no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            raise SettingsError(f"admin_listen: {path}: {error.strerror}") from None
    raise SettingsError(f"admin_listen: {path} is in use")
