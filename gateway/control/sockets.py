"""Where control's Unix sockets lie: in a directory of the user's own, cleared at each start of what the killed left."""

import ipaddress
import os
import socket
import stat
from pathlib import Path

from gateway.config import split_address
from gateway.errors import SettingsError

_PATH_BYTES_MAX = 107
"""sun_path of unix(7)."""
_YOUNG_S = 60.0
"""A socket so young may be bound and not yet listening."""


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
        raise SettingsError(f"{directory}: {error.strerror}") from None
    # Somebody else may have made it first: /tmp is everybody's.
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
        raise SettingsError(f"{directory} is not a directory that only this user can use")
    return directory


def control_path(gateway_id: str, now_s: float) -> Path:
    """Return where control listens for its workers. `now_s` is the time of day. Raises SettingsError."""
    directory = runtime_directory()
    sweep(directory, now_s)
    return _short_enough(directory / f"control-{gateway_id[:12]}.sock")


def living_sockets(directory: Path, pattern: str) -> list[Path]:
    """Return those that somebody listens on."""
    return sorted(path for path in directory.glob(pattern) if not _is_dead(path))


def sweep(directory: Path, now_s: float) -> None:
    """Remove the sockets of processes that were killed; `now_s` is the time of day."""
    for path in directory.glob("*.sock"):
        if _is_dead(path) and now_s - path.lstat().st_mtime > _YOUNG_S:
            path.unlink(missing_ok=True)


def _is_dead(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:
            # A full backlog, for one.
            return False
    return False


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
    _make_room(_short_enough(path))
    return f"unix:{path}"


def _short_enough(path: Path) -> Path:
    if len(os.fsencode(path)) > _PATH_BYTES_MAX:
        raise SettingsError(f"{path} is longer than the {_PATH_BYTES_MAX} bytes of a Unix socket's path")
    return path


def _make_room(path: Path) -> None:
    """Remove the socket that a killed process has left."""
    if path.exists() and not path.is_socket():
        raise SettingsError(f"admin_listen: {path} is there already and no socket")
    if path.exists() and not _is_dead(path):
        raise SettingsError(f"admin_listen: {path} is in use")
    path.unlink(missing_ok=True)
