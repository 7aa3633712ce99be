"""What the load generator is asked and what it answers, as JSON."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct, field

from benchmarks.overhead.latency import Histogram

Kind = Literal["stream", "closed", "open", "hold", "release"]


class Task(Struct, frozen=True, kw_only=True):
    """What the agents do, for how long, and whose CPU time is read."""

    ports: Sequence[int] = ()
    """Of the proxy; of all replicas where there is none. Connections go to them in turn."""
    replica_ports: Sequence[int] = ()
    path: str = ""
    kind: Kind = "stream"
    """`stream`: streams that last. `closed`: RPCs of one message, the next one when one has ended. `open`: RPCs of one
    message at a rate, at random moments that are drawn before. `hold`: streams that get no answer, until `release`."""
    connections: int = 4
    streams: int = 0
    """At a time, over all connections."""
    message_bytes: int = 120
    """Serialized; gRPC's prefix and the frame's head are fourteen more."""
    interval_ms: float = 0.0
    """Between two messages of a stream; 0: the next when all have the last."""
    is_spread: bool = False
    """Each stream has its own phase in the interval; else an engine step gives all their message at once."""
    rate: float = 0.0
    """RPCs a second."""
    prompt_bytes: int = 256
    warmup_s: float = 0.15
    measured_s: float = 0.7
    seed: int = 0
    pids: Sequence[Sequence[int]] = ()
    """Groups of processes."""


class Result(Struct, frozen=True, kw_only=True, tag=True):
    """Of the measured time, and of its end."""

    wall_s: float = 0.0
    messages: float = 0.0
    rpcs: int = 0
    failed: int = 0
    """Streams that ended otherwise than ordered."""
    unfinished: int = 0
    """Streams that were still open seconds after the end."""
    cpu_s: Sequence[float] = ()
    """Of each group of processes, then of the load generator itself."""
    latency: Histogram = field(default_factory=dict[int, int])
    """Of messages in streams with an interval, and of RPCs at a rate: from the moment when it was due, whether it could
    be sent then or not."""
    due: int = 0
    """Messages or RPCs that were due in the measured time, where there is a rate."""


class Refused(Struct, frozen=True, tag=True):
    """The task could not be done."""

    reason: str
