"""What control and its workers tell each other: tagged msgpack maps, instants on the host's monotonic clock."""

from enum import StrEnum

from msgspec import Struct

from gateway.config import Settings
from gateway.metrics import Family
from gateway.tls.material import Material
from gateway.types import Explanation, LoadReport, PromptRead, Snapshot


class _Message(Struct, frozen=True, tag=True):
    pass


class Configure(_Message, frozen=True):
    """The first message to a worker, once. It answers with `WorkerReady` when it can take connections."""

    worker_id: int
    """Stays when a crashed worker is replaced; below `workers`."""
    workers: int
    """How many share the memory that each is given."""
    gateway_id: str
    """Goes to replicas as `x-gateway-id`; one for all workers and control."""
    control_address: str
    """Path of the Unix socket where control answers Health, Reflection and ListModels, by HTTP/2 without TLS."""
    settings: Settings
    tls: Material = Material()


class TlsChanged(_Message, frozen=True):
    """Holds for new connections."""

    tls: Material


class FleetChanged(_Message, frozen=True):
    """The whole fleet. One comes directly after `Configure`."""

    snapshot: Snapshot


class Prepare(_Message, frozen=True):
    """Say by `Prepared` whether these settings could be used; nothing changes yet."""

    id: int
    settings: Settings


class Reconfigure(_Message, frozen=True):
    """Use these settings from now on. All workers were asked before, and control decides."""

    settings: Settings


class LoadsReported(_Message, frozen=True):
    """Load reports that came since the last one, or since the fleet was told."""

    loads: list[tuple[str, int, LoadReport]]
    """Replica id, incarnation, report."""


class AskWhy(_Message, frozen=True):
    """Answer with `Why` of the same id: what would become of this request now."""

    id: int
    path: str
    """/package.Service/Method."""
    request: bytes
    """The agent's message."""
    fields: list[tuple[bytes, bytes]]
    """Its metadata."""
    excluded: list[str]
    """Ids of replicas that will not do."""


class Drain(_Message, frozen=True):
    """Send GOAWAY, finish what runs within `grace_s`, exit 0."""

    grace_s: float


class PromptsRead(_Message, frozen=True):
    """What replicas were sent through one worker, up to control and down to all others."""

    reads: list[PromptRead]


class AskMetrics(_Message, frozen=True):
    """Answer with `Metrics` of the same id."""

    id: int


class WorkerReady(_Message, frozen=True):
    pass


class Prepared(_Message, frozen=True):
    """The answer to `Prepare` of the same id."""

    id: int
    error: str
    """Why the settings cannot be used; empty: they can."""


class Why(_Message, frozen=True):
    """The answer to `AskWhy` of the same id."""

    id: int
    explanation: Explanation | None
    error: str = ""
    """Where there is no explanation: why such a request is refused for what it is."""


class OutcomeKind(StrEnum):
    """How an attempt ended, as far as it says something of the replica."""

    ANSWERED = "answered"
    """With a status of the replica's own, good or bad: the process is alive."""
    FAILED = "failed"
    """UNAVAILABLE, INTERNAL or garbage from the replica, or the stream was cut."""
    CONNECT_FAILED = "connect_failed"
    """No connection: nothing of the request left."""
    CONNECTION_LOST = "connection_lost"
    """The connection ended while streams were open on it; told once, not once a stream."""


class Outcome(Struct, frozen=True, array_like=True):
    """An attempt that ended, or a connection; or so many of the replica's in a row."""

    replica_id: str
    incarnation: int
    kind: OutcomeKind
    count: int = 1


class Outcomes(_Message, frozen=True):
    """In each replica's order: with a failure among them within one turn of the loop, else within 250 ms."""

    outcomes: list[Outcome]


class Awaited(Struct, frozen=True, array_like=True):
    """One replica whose streams in this worker should bring something."""

    replica_id: str
    incarnation: int
    since: float
    """There has been such a stream at every moment since."""
    heard_at: float
    """When the last byte of any response came from it; 0: never."""
    prefill_tokens: int
    """In flight there, over all workers."""


class Progress(_Message, frozen=True):
    """Every second, where there is anything to tell."""

    awaited: list[Awaited]


class Metrics(_Message, frozen=True):
    id: int
    families: list[Family]


Order = FleetChanged | LoadsReported | TlsChanged | AskMetrics | Prepare | Reconfigure | PromptsRead | AskWhy
"""What a worker does at once."""
Down = Configure | Drain | Order
Up = WorkerReady | Outcomes | Progress | Metrics | Prepared | PromptsRead | Why
