"""Processes come up, and none is left behind."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from benchmarks.processes import NotReady, Processes

pytestmark = pytest.mark.e2e

SERVER = "import time; print('listening on 127.0.0.1:7 (nothing)', flush=True); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SERVER
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}])"
# What the demo is: it starts processes, one of them with a child, tells their ids and waits.
OWNER = f"""
import sys, time, psutil
from pathlib import Path
from benchmarks.processes import Processes
with Processes(Path(sys.argv[1]), grace_s=0.2) as processes:
    for name, program in (("one", {SERVER!r}), ("two", {PARENT!r})):
        processes.start(name, [sys.executable, "-c", program]).wait_for_line()
    print(*[child.pid for child in psutil.Process().children(recursive=True)], flush=True)
    time.sleep(60)
"""


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as processes:
        yield processes


def test_a_server_is_ready_when_it_says_where_it_listens(processes: Processes) -> None:
    process = processes.start("server", python(SERVER))
    assert process.wait_for_line()[1] == "127.0.0.1:7"
    assert process.is_running
    process.signal(signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM
    assert list(processes) == []


def test_a_server_that_ends_before_it_listens_shows_its_log(processes: Processes) -> None:
    process = processes.start("server", python("raise SystemExit('port in use')"))
    with pytest.raises(NotReady, match=r"(?s)server ended with 1:.*port in use"):
        process.wait_for_line()


def test_a_server_that_never_listens_is_not_waited_for_forever(processes: Processes) -> None:
    process = processes.start("server", python(SERVER))
    with pytest.raises(NotReady, match=r"not ready in 0\.1 s"):
        process.wait_for_line(re.compile("something else"), timeout_s=0.1)


def test_a_killed_server_can_be_started_again(processes: Processes) -> None:
    first = processes.start("server", python(SERVER))
    first.wait_for_line()
    first.kill()
    second = processes.start("server", python(SERVER))
    second.wait_for_line()
    assert list(processes) == [second]


def test_leaving_ends_even_those_that_do_not_want_to(tmp_path: Path) -> None:
    with Processes(tmp_path, grace_s=0.1) as processes:
        processes.start("stubborn", python(STUBBORN)).wait_for_line()
        pids = [child.pid for child in psutil.Process().children(recursive=True)]
    assert len(pids) == 2
    assert all(is_gone(pid) for pid in pids)


def test_nothing_starts_once_the_run_is_over(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        pass
    with pytest.raises(NotReady, match="any more"):
        processes.start("late", python(SERVER))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_nothing_is_left_however_the_owner_ends(number: signal.Signals, tmp_path: Path) -> None:
    with subprocess.Popen([*python(OWNER), str(tmp_path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert len(pids) == 4  # two processes, the child of one, and the guard
        owner.send_signal(number)
        assert owner.wait(10) == -number
    deadline_at = time.monotonic() + 5
    while not all(is_gone(pid) for pid in pids) and time.monotonic() < deadline_at:
        time.sleep(0.01)
    assert [pid for pid in pids if not is_gone(pid)] == []
