"""What a run has measured, as it is kept in a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from benchmarks.overhead.machine import Machine, Memory
from benchmarks.overhead.tasks import Result


class Measured(Struct, frozen=True):
    """One shape on one peer, once."""

    round: int
    shape: str
    peer: str
    result: Result
    """Groups of processes in `cpu_s`: the peer's, the replicas', the agents'."""
    stolen: float = 0.0
    """The share of the machine that its host took meanwhile."""


class Idle(Struct, frozen=True):
    """A fresh peer: nothing, then idle connections, then streams without an answer."""

    round: int
    peer: str
    at_rest: Mapping[str, Memory]
    """By process."""
    connections: int
    connections_bytes: int
    """What they added to RSS, over all processes."""
    streams: int
    streams_bytes: int


class Run(Struct, frozen=True):
    machine: Machine
    began_at: str
    """UTC, ISO 8601."""
    rounds: int
    titles: Mapping[str, str]
    """Of the shapes, by name."""
    units: Mapping[str, str]
    missing: Mapping[str, str]
    """Why a peer, or a peer in a shape, was not measured."""
    measured: Sequence[Measured]
    idle: Sequence[Idle]
    decision_us: Sequence[float]
    """A pick and its bookkeeping with 8 replicas, one number for each of several runs."""
    decision_compiled_us: Sequence[float] = ()


def save(run: Run, file: Path) -> None:
    file.write_bytes(msgspec.json.encode(run) + b"\n")


def load(file: Path) -> Run:
    """Raises OSError, or msgspec.DecodeError where the file is not one of ours."""
    return msgspec.json.decode(file.read_bytes(), type=Run)
