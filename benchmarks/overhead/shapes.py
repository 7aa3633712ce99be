"""What the agents do: the shapes of traffic."""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from benchmarks.overhead.tasks import Task

KIB = 1024


class Shape(Struct, frozen=True):
    title: str
    task: Task
    unit: str = "message"
    """What CPU time is divided by."""

    @property
    def is_saturating(self) -> bool:
        """The proxy gets all that it can take; else work comes at a rate, and latency is measured."""
        return not (self.task.interval_ms or self.task.rate)


def _burst(streams: int) -> Shape:
    return Shape(f"burst, {streams:,} streams", Task(streams=streams))


def _steps(streams: int, interval_ms: float) -> Shape:
    rate = round(streams * 1_000 / interval_ms)
    return Shape(f"steps, {streams:,} streams, {rate:,}/s", Task(streams=streams, interval_ms=interval_ms))


SHAPES: Mapping[str, Shape] = {
    "burst-64": _burst(64),
    "burst-128": _burst(128),
    "burst-256": _burst(256),
    "burst-1024": _burst(1_024),
    "steps-64": _steps(64, 20),
    "steps-256": _steps(256, 20),
    "steps-1024": _steps(1_024, 50),
    "paced": Shape("paced, 64 streams, 3,200/s", Task(streams=64, interval_ms=20, is_spread=True)),
    "rpc": Shape("RPCs, 32 at once", Task(kind="closed", streams=32), unit="RPC"),
    "rpc-64": Shape("RPCs, 64 at once", Task(kind="closed", streams=64), unit="RPC"),
    "rpc-rate": Shape("RPCs, 400/s", Task(kind="open", rate=400, measured_s=1.0), unit="RPC"),
    "prompts": Shape(
        "400 KB prompts, 40/s", Task(kind="open", rate=40, prompt_bytes=400 * KIB, measured_s=1.5), unit="RPC"
    ),
}
TWICE: Mapping[str, str] = {"burst-64": "burst-128", "rpc": "rpc-64"}
"""Of the same kind, with twice the streams: as many for each of two workers."""
IDLE = "idle"
"""Streams that are open and have not got a token: their memory."""


def quick(shape: Shape) -> Shape:
    """Return the shape for a smoke test: as many kinds of work, little of it."""
    task = replace(shape.task, streams=min(shape.task.streams, 64), warmup_s=0.05, measured_s=0.2)
    return Shape(shape.title, replace(task, rate=min(task.rate, 100)), shape.unit)
