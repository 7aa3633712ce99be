"""Runs the project's programs as real processes, for the demo, benchmarks and end-to-end tests.

None outlives this process, whatever ends it: all are in the process group of a guard, a shell that waits for the end
of its input and then kills the group. The other end of that input is held here, so the kernel closes it if nobody else
does. (PR_SET_PDEATHSIG would be for Linux only, needs code between fork and exec, and does not reach grandchildren.)
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_GUARD = ("/bin/sh", "-c", "read line; kill -KILL 0")
_LISTENING = re.compile(r"listening on (\S+)")
_LOOK_EVERY_S = 0.02
# A starved machine takes its time. One that dies instead is noticed at once.
_START_S = 120.0


def inference_gateway(*arguments: str, environment: Path | None = None) -> list[str]:
    """Return the command line of this project's command in a virtual environment, by default the running one."""
    folder = Path(sys.executable).parent if environment is None else environment / "bin"
    return [str(folder / "inference-gateway"), *arguments]


class NotReady(Exception):
    """A process did not come up. The message ends with the end of its log."""


class Process:
    """One process. What it prints goes to its log."""

    def __init__(self, name: str, popen: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self.log = log
        self._popen = popen

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def is_running(self) -> bool:
        return self._popen.poll() is None

    def wait_for_line(self, pattern: "re.Pattern[str]" = _LISTENING, timeout_s: float = _START_S) -> "re.Match[str]":
        """Return the first match in the log; by default group 1 is the address of a server's ready line.

        Raises NotReady when the process ends or the time is over before that.
        """
        deadline_at = time.monotonic() + timeout_s
        while True:
            was_running = self.is_running
            if match := pattern.search(self.log.read_text(errors="replace")):
                return match
            if not was_running or time.monotonic() > deadline_at:
                state = f"ended with {self._popen.returncode}" if not was_running else f"not ready in {timeout_s:g} s"
                raise NotReady(f"{self.name} {state}:\n{self.last_lines()}")
            time.sleep(_LOOK_EVERY_S)

    def last_lines(self, count: int = 20) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def wait(self, timeout_s: float = 60.0) -> int:
        """Return the exit code, negative for a signal. Raises subprocess.TimeoutExpired."""
        return self._popen.wait(timeout_s)

    def kill(self) -> None:
        """End it as a crash would, and wait until it has ended."""
        self._popen.kill()
        self._popen.wait()

    def __repr__(self) -> str:
        return f"<Process {self.name} {self.pid} {'running' if self.is_running else self._popen.returncode}>"


class Processes:
    """All processes of one run; leaving `with` ends them."""

    def __init__(self, logs: Path, grace_s: float = 3.0) -> None:
        """`grace_s` passes between SIGTERM and SIGKILL when the run ends."""
        self._logs = logs
        self._grace_s = grace_s
        self._started: list[Process] = []
        self._is_over = False
        # Another thread may be starting processes when this one leaves.
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._guard = subprocess.Popen(_GUARD, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, process_group=0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            self._is_over = True
        try:
            for process in self:
                process.signal(signal.SIGTERM)
            deadline_at = time.monotonic() + self._grace_s
            while any(process.is_running for process in self) and time.monotonic() < deadline_at:
                time.sleep(_LOOK_EVERY_S)
        finally:
            os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.communicate()
            for process in self._started:
                process.wait()

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None) -> Process:
        """Start a process; `environment` is added to this process's own. One of the same name must have ended.

        Raises NotReady when the run is over.
        """
        log = self._logs / f"{name}.log"
        with self._lock:
            if self._is_over:
                raise NotReady(f"{name} is not started any more")
            with log.open("wb") as output:
                popen = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **(environment or {})},
                    process_group=self._guard.pid,
                )
            process = Process(name, popen, log)
            self._started.append(process)
        return process

    def __iter__(self) -> Iterator[Process]:
        return iter([process for process in self._started if process.is_running])
