import os
import socket
import stat
import time
from pathlib import Path

import pytest

from gateway.control.sockets import admin_target, living_sockets, runtime_directory, sweep
from gateway.errors import SettingsError


def test_operators_are_heard_on_loopback_only() -> None:
    assert admin_target("127.0.0.1:9000", 1) == "127.0.0.1:9000"
    assert admin_target("[::1]:9000", 1) == "[::1]:9000"
    assert admin_target("localhost:0", 1) == "localhost:0"
    with pytest.raises(SettingsError, match=r"^admin_listen: 0\.0\.0\.0 is not loopback"):
        admin_target("0.0.0.0:9000", 1)
    with pytest.raises(SettingsError, match=r"^admin_listen: 'admin' is neither a path nor HOST:PORT$"):
        admin_target("admin", 1)


def test_the_default_path_is_in_a_directory_of_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert admin_target("", 8080) == f"unix:{tmp_path}/inference-gateway/admin-8080.sock"
    assert stat.S_IMODE((tmp_path / "inference-gateway").stat().st_mode) == 0o700


def test_a_directory_that_others_can_use_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "inference-gateway").mkdir(mode=0o755)
    with pytest.raises(SettingsError, match=r"is not a directory that only this user can use$"):
        runtime_directory()


def test_what_a_killed_gateway_left_makes_room_and_nothing_else_does(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
        left.listen()
        with pytest.raises(SettingsError, match=r"admin\.sock is in use$"):
            admin_target(str(path), 1)
    assert admin_target(str(path), 1) == f"unix:{path}"
    assert not path.exists()
    path.write_text("precious")
    with pytest.raises(SettingsError, match=r"is there already and no socket$"):
        admin_target(str(path), 1)
    assert path.read_text() == "precious"


def test_a_path_that_is_too_long_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"is longer than the 107 bytes of a Unix socket's path$"):
        admin_target(str(tmp_path / ("a" * 108)), 1)


def test_a_start_clears_what_killed_gateways_left_and_touches_no_other(tmp_path: Path) -> None:
    for name in ("dead.sock", "young.sock", "living.sock"):
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(tmp_path / name))
    (tmp_path / "living.sock").unlink()
    long_ago = time.time() - 3_600
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(tmp_path / "living.sock"))
        living.listen()
        for name in ("dead.sock", "living.sock"):
            os.utime(tmp_path / name, (long_ago, long_ago))
        assert [path.name for path in living_sockets(tmp_path, "*.sock")] == ["living.sock"]
        sweep(tmp_path, time.time())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["living.sock", "young.sock"]
