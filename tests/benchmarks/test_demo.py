"""The demo, as people run it, but shorter."""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager

import psutil
import pytest

pytestmark = pytest.mark.e2e

MARK = "DEMO_UNDER_TEST"
COMMAND = [sys.executable, "-u", "-m", "benchmarks.demo", "--conversations", "4"]


@contextmanager
def running_demo() -> Generator[tuple["subprocess.Popen[str]", str], None, None]:
    """Yield the demo and the mark that it and everything that it starts bear."""
    mark = uuid.uuid4().hex
    environment = {**os.environ, MARK: mark}
    with subprocess.Popen(
        COMMAND, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as demo:
        try:
            yield demo, mark
        finally:
            demo.kill()


def read_until(demo: "subprocess.Popen[str]", what: str) -> str:
    assert demo.stdout
    lines = list[str]()
    for line in demo.stdout:
        lines.append(line)
        if re.search(what, line):
            return "".join(lines)
    raise AssertionError(f"{what!r} did not come in:\n{''.join(lines)}")


def bearers(mark: str) -> list[str]:
    """Return the living processes that bear the mark."""
    found = list[str]()
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(repr(process))
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def test_every_request_is_answered_although_a_replica_is_killed() -> None:
    with running_demo() as (demo, mark):
        printed = read_until(demo, "time in all")
        assert demo.wait(30) == 0
        assert bearers(mark) == []
    assert re.search(r"replica-\d killed with \d+ streams on it", printed)
    assert re.search(r"replica-\d is ready again", printed)
    assert re.search(r"requests +│ +20 of 20 ", printed)
    assert re.search(r"failures +│ +0 ", printed)


@pytest.mark.parametrize(
    ("moment", "number", "code"),
    [
        ("starting", signal.SIGINT, 130),
        ("killed with", signal.SIGTERM, 143),
        (r"\d+/20 requests", signal.SIGKILL, -signal.SIGKILL),
    ],
)
def test_nothing_is_left_behind_whenever_it_is_ended(moment: str, number: signal.Signals, code: int) -> None:
    with running_demo() as (demo, mark):
        read_until(demo, moment)
        assert bearers(mark)
        demo.send_signal(number)
        assert demo.wait(10) == code
        deadline_at = time.monotonic() + 5
        while bearers(mark) and time.monotonic() < deadline_at:
            time.sleep(0.02)
        assert bearers(mark) == []
