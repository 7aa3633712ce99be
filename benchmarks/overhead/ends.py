"""The two ends of every measurement: one process with all agents, one with all replicas."""

import json
import subprocess
import sys
from types import TracebackType
from typing import Self

import msgspec

from benchmarks.overhead.tasks import Refused, Result, Task


class Failed(Exception):
    """A measurement could not be made. The message says why, in one line."""


class _End:
    """A process that answers lines with lines, and ends with its input."""

    def __init__(self, module: str, *arguments: str) -> None:
        self.name = module.rpartition(".")[2]
        command = [sys.executable, "-m", module, *arguments]
        # In a group of its own: Ctrl-C is for the one who asks, and ends this one by the end of its input.
        self._popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0
        )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._popen:
            self._popen.kill()

    def read_line(self) -> str:
        assert self._popen.stdout is not None
        line = self._popen.stdout.readline()
        if not line:
            raise Failed(f"the {self.name} process has ended")
        return line

    def write_line(self, line: str) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(line + "\n")
        self._popen.stdin.flush()


class Replicas(_End):
    def __init__(self, count: int) -> None:
        super().__init__("benchmarks.overhead.replica", str(count))
        self.ports: list[int] = json.loads(self.read_line())

    def held_streams(self) -> int:
        """Return how many streams have been asked and not answered."""
        self.write_line("")
        return int(self.read_line())


class Agents(_End):
    def __init__(self) -> None:
        super().__init__("benchmarks.overhead.load")

    def perform(self, task: Task) -> Result:
        """Raises Failed."""
        self.write_line(msgspec.json.encode(task).decode())
        answer = msgspec.json.decode(self.read_line(), type=Result | Refused)
        if isinstance(answer, Refused):
            raise Failed(answer.reason)
        return answer
