"""What all peers have in common."""

import os
import shutil
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from benchmarks.processes import NotReady, Process, Processes

GENERATE = "/inference.v1.Inference/Generate"
ROOT = Path(__file__).parents[3]
_START_S = 20.0
_LOOK_EVERY_S = 0.02


class Missing(Exception):
    """A peer is not installed here. The message says how to install it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer is started."""

    processes: Processes
    folder: Path
    """For its configuration."""
    replica_ports: Sequence[int]

    @property
    def replica_addresses(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self.replica_ports]


@dataclass(frozen=True, slots=True)
class Running:
    """A peer that takes connections."""

    ports: Sequence[int]
    """Connections go to these in turn."""
    pids: Mapping[str, int] = field(default_factory=dict[str, int])
    """Whose CPU time and memory count, by what they are."""
    path: str = GENERATE


Start: TypeAlias = Callable[[Place], Running]
"""Raises Missing, or NotReady."""


def find_program(name: str, package: str) -> str:
    """Return the path of a program of Debian's. Raises Missing."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if found is None:
        raise Missing(f"not installed here: `apt-get install {package}`")
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


def listening_port(process: Process) -> int:
    """Wait for the line in which one of our own servers says where it listens. Raises NotReady."""
    return int(process.wait_for_line()[1].rpartition(":")[2])


def wait_for_port(process: Process, port: int) -> None:
    """Wait for a server that says nothing. Raises NotReady."""
    deadline_at = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if not process.is_running or time.monotonic() > deadline_at:
                raise NotReady(f"{process.name} does not listen on port {port}:\n{process.last_lines()}") from None
            time.sleep(_LOOK_EVERY_S)
        else:
            return
