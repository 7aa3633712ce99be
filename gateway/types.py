"""The nouns that decisions are made of: frozen values without behaviour, shared by control, workers and simulator."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol

from msgspec import Struct


class ReplicaState(IntEnum):
    """The seven states of the health table; the values are those of inference.v1.ReplicaState."""

    STARTING = 1
    READY = 2
    SUSPECT = 3
    EJECTED = 4
    PROBATION = 5
    DRAINING = 6
    GONE = 7


# What is made anew for each request, report or count is a struct: it takes a third of the time that a NamedTuple does.
class LoadReport(Struct, frozen=True, array_like=True, gc=False):
    """What a replica last said of itself, by ORCA (xds.data.orca.v3.OrcaLoadReport, named_metrics)."""

    queue_depth: float
    running_requests: float
    kv_cache_utilization: float
    """Between 0 and 1."""
    uncached_waiting_tokens: float
    boot_id: int
    """One life of the replica's process; 0 where it does not say, and then `received_requests` means nothing."""
    received_requests: int
    """From this gateway, over the replica's life: those that the report has seen."""
    received_at: float
    """Monotonic clock of the host, seconds: the same for all processes of one gateway."""
    utilization: float = 0.0
    """Of what is scarcest there; above 1 it is overloaded. This and the next two are for weights (gRFC A58)."""
    requests_per_s: float = 0.0
    errors_per_s: float = 0.0
    gpu_utilization: float = 0.0
    """Between 0 and 1, the mean of its GPUs; 0 where it does not say."""
    gpu_memory_utilization: float = 0.0
    """Between 0 and 1, of all its GPUs."""
    gpus_throttled: float = 0.0
    """How many of them run slower than they could, by heat or a power brake."""
    gpu_faults: float = 0.0
    """Uncorrected memory errors, critical XID events and lost GPUs since the replica began."""
    ready_replicas: float = 1.0
    """More than 1 where it is itself a gateway: how many share what it reports."""


Labels = frozenset[tuple[str, str]]
"""Of a replica, and what a route asks of one."""


class ReplicaRecord(NamedTuple):
    """One replica as control knows it. Only control makes these; workers get them in snapshots."""

    id: str
    address: str
    """HOST:PORT."""
    incarnation: int
    state: ReplicaState
    models: frozenset[str] | None
    """None until the replica has named its models."""
    weight: float
    load: LoadReport | None
    slot: int = -1
    """Where this life's requests in flight are counted; control gives slots out. Below 0: nowhere."""
    zone: str = ""
    labels: Labels = frozenset()
    loras: frozenset[tuple[str, str]] = frozenset()
    """Model and adapter, for each adapter that it has."""
    kv_cache_tokens: int = 0
    """Of its largest model; 0: not known."""


class Snapshot(NamedTuple):
    """The fleet at one instant. `version` rises with each change."""

    version: int
    replicas: tuple[ReplicaRecord, ...]


class Pace(Struct, frozen=True, gc=False):
    """How fast one life of a replica has lately answered, as this worker saw it."""

    first_token_s: float
    """Time to first token: rises to a worse one at once, sinks slowly towards better ones (peak EWMA)."""
    observed_at: float
    """When the last first token came; monotonic clock."""
    floor_s: float
    """Time to first token where nothing has to be read."""
    token_s: float
    """What each uncached prompt token, of its own or ahead of it, adds to that."""
    output_tokens: float
    """Of a request, on average."""
    tokens_per_s: float
    """Tokens read and written for one request, by the time that it took; 0 until one has ended and told its usage."""


class View(Struct, frozen=True, gc=False):
    """A replica frozen at one instant: all that a policy sees of it."""

    id: str
    incarnation: int
    state: ReplicaState
    weight: float
    load: LoadReport | None
    requests: int
    """Leases held, over all workers."""
    prefill_tokens: int
    """Uncached prompt tokens of leases that have not seen their first token."""
    context_tokens: int
    """Prompt tokens of all leases."""
    unseen_requests: int = 0
    """Leases that `load` cannot have seen: sent since, or still on their way when it was made. Add them to its
    `queue_depth`."""
    pace: Pace | None = None
    """None until it has answered a request."""
    zone: str = ""
    labels: Labels = frozenset()


class Route(NamedTuple):
    """Which replicas may serve a request, and whose policy picks."""

    name: str = "default"
    labels: Labels = frozenset()
    """All of which a replica must have."""


DEFAULT_ROUTE = Route()


class PromptRead(NamedTuple):
    """A prompt that a replica was sent, for workers that were not asked for it."""

    replica_id: str
    incarnation: int
    blocks: bytes
    """The names of its blocks (dispatch.prefix_index.chain), joined."""


class Usage(NamedTuple):
    """What a finished request has cost, by the replica's own count (request_cost in the report of its trailers)."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


class Prefix(Protocol):
    """What replicas have cached of one request's prompt. A policy asks `Facts.cached_tokens`."""

    @property
    def tokens(self) -> int:
        """Of the whole prompt."""
        ...

    def cached(self) -> Sequence[tuple[tuple[str, ...], int]]:
        """Return the ids of replicas and how many tokens they have cached at least, for all that have any: fewest
        tokens first, and who has more is named again later."""
        ...

    def renamed(self, model: str, lora_name: str) -> "Prefix":
        """Return the same for a model and adapter by their own names. Before anything else is asked of it."""
        ...

    def name(self) -> bool:
        """Get on with what long prompts take before they can be asked for; return whether all is done. To leave it out
        is to wait for all of it where something is asked first."""
        ...

    def cached_tokens(self, replica_id: str) -> int:
        """Less than `tokens`."""
        ...

    def read(self, replica_id: str, incarnation: int) -> None:
        """The request was leased there."""
        ...

    def used(self, replica_id: str, usage: Usage, expected_tokens: int, *, is_settled: bool) -> None:
        """It has ended there. `expected_tokens` were thought to be cached when it was leased; `is_settled`: nothing
        that the replica had been sent before was still to be read then."""
        ...


class Facts(Struct, frozen=True):
    """What routing may know of a request."""

    method: str
    """Full path, `/package.Service/Method`."""
    model: str | None = ""
    """Empty: the one model that the fleet serves. None: the method knows no models, any replica will do."""
    request_id: str = ""
    session_id: str = ""
    lora_name: str = ""
    cache_salt: str = ""
    priority: int = 0
    """Lower is sooner, as in vLLM."""
    prompt_tokens: int = 0
    """Counted where the request carries ids, estimated from the text's bytes elsewhere."""
    deadline_at: float | None = None
    """Monotonic clock, seconds."""
    first_token_target_s: float | None = None
    """Time to first token that the agent asks for."""
    spiffe_id: str = ""
    """Whom the agent's certificate names, verified (`spiffe://...`); empty where it names nobody."""
    prefix: Prefix | None = None
    route: Route = DEFAULT_ROUTE
    explained: "Callable[[Explanation], None] | None" = None
    """Is told why, whenever the request is dispatched. None: nobody asks."""

    def cached_tokens(self, view: View) -> int:
        """Return how many prompt tokens the replica is thought to have cached; fewer than `prompt_tokens`."""
        prefix = self.prefix
        return 0 if prefix is None else prefix.cached_tokens(view.id)

    def cached(self) -> Sequence[tuple[tuple[str, ...], int]]:
        """Return the ids of replicas and how many tokens they have cached at least, as in Prefix."""
        return () if self.prefix is None else self.prefix.cached()

    def uncached_tokens(self, view: View) -> int:
        """Return how many prompt tokens the replica would have to read."""
        prefix = self.prefix
        return self.prompt_tokens if prefix is None else self.prompt_tokens - prefix.cached_tokens(view.id)


class Considered(NamedTuple):
    """One replica of the fleet in a decision."""

    replica_id: str
    incarnation: int
    state: str
    """Lower-case name of the state."""
    verdict: str
    """`picked`, `passed_over`, `left_out` by the policy before it compared, or `no_candidate`."""
    reason: str
    load: float | None
    """By the policy: less is better. None: it compares by no number."""
    report_age_s: float | None
    """Of its load report. None: there is none."""
    requests: int
    """In flight, over all workers."""
    prefill_tokens: int
    """Uncached prompt tokens ahead."""
    expected_wait_s: float
    """Predicted time to first token (dispatch.prediction)."""
    cached_tokens: int
    """Of the prompt."""
    weight: float
    """In effect now."""


class Explanation(NamedTuple):
    """Why a request goes where it goes."""

    route: str
    policy: str
    compares: bool
    """Whether the policy compares replicas by a number."""
    outcome: str
    """`picked`, `waits`, `refused`, or `failed`: the policy is broken, or cannot be copied to be asked."""
    reason: str
    """Empty where one was picked."""
    replica_id: str
    """Empty where none was picked."""
    prompt_tokens: int
    considered: list[Considered]
    """The one picked first, then by verdict and load."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nobody can take the request now; it may be asked again when the fleet has changed."""

    reason: str
