import asyncio
import sys
from pathlib import Path

import pytest

from gateway.config import ReplicaSettings, Settings
from gateway.control.app import Control, run

pytestmark = pytest.mark.e2e

FAKE = Path(__file__).with_name("fake_worker.py")


def settings(tmp_path: Path) -> Settings:
    return Settings(
        listen="127.0.0.1:0",
        metrics_listen="none",
        admin_listen=str(tmp_path / "admin.sock"),
        replicas=(ReplicaSettings(address="127.0.0.1:1"),),
        grace_s=0.0,
        drain_pause_s=0.0,
    )


async def test_it_says_where_it_listens_once_it_takes_connections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopping = asyncio.Event()
    stopping.set()
    await Control(settings(tmp_path), (sys.executable, str(FAKE), "well")).run(stopping)
    said = capsys.readouterr().out
    assert said.startswith("gateway listening on 127.0.0.1:")
    assert said.endswith(" (1 replica, policy least_connection)\n")


async def test_a_worker_that_does_not_end_in_time_is_killed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stopping = asyncio.Event()
    stopping.set()
    async with asyncio.timeout(60):
        await Control(settings(tmp_path), (sys.executable, str(FAKE), "stubborn")).run(stopping)
    assert "event=worker_killed worker=0" in caplog.text
    assert not (tmp_path / "admin.sock").exists()


async def test_without_a_worker_it_gives_up_and_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with asyncio.timeout(60):
        assert await run(settings(tmp_path), (sys.executable, str(FAKE), "dies")) == 1
    assert 'event=gave_up reason="the worker did not start: exit code 5"' in caplog.text
