"""Fleets for tests: short ways to say what control would send."""

import mmap
import random
from collections.abc import Callable, Sequence

from gateway.dispatch.admission import Admission, Parking
from gateway.dispatch.dispatch import Dispatcher, pushback
from gateway.fleet.fleet import Fleet, FleetChange
from gateway.fleet.leases import Ledger, LocalCounters
from gateway.fleet.shared_counters import Rows, size_bytes
from gateway.policies import build
from gateway.policies.base import Policy
from gateway.types import Facts, ReplicaRecord, ReplicaState, Snapshot, Usage, View

MODEL = "llama"
METHOD = "/inference.v1.Inference/Generate"


def row(
    replica_id: str,
    state: ReplicaState = ReplicaState.READY,
    *,
    incarnation: int = 1,
    models: frozenset[str] | None = frozenset((MODEL,)),
    weight: float = 1.0,
) -> ReplicaRecord:
    return ReplicaRecord(replica_id, f"{replica_id}:8000", incarnation, state, models, weight, None)


def shared_rows(workers: int) -> Rows:
    """What so many workers and control share: as in `SharedMemory`, pages that nobody touches cost nothing."""
    return Rows(memoryview(mmap.mmap(-1, size_bytes(workers))), workers)


def view(replica_id: str, requests: int = 0, weight: float = 1.0) -> View:
    return View(replica_id, 1, ReplicaState.READY, weight, None, requests, 0, 0)


def facts(model: str | None = MODEL, *, prompt_tokens: int = 0, priority: int = 0, request_id: str = "") -> Facts:
    return Facts(METHOD, model, request_id, priority=priority, prompt_tokens=prompt_tokens)


class Cached(dict[str, int]):
    """Prompt tokens that replicas have cached, by id: a `types.Prefix`."""

    tokens = 0

    def cached_tokens(self, replica_id: str) -> int:
        return self.get(replica_id, 0)

    def cached(self) -> Sequence[tuple[tuple[str, ...], int]]:
        return [
            (tuple(replica_id for replica_id, more in self.items() if more >= tokens), tokens)
            for tokens in sorted({*self.values()})
        ]

    def renamed(self, model: str, lora_name: str) -> "Cached":
        return self

    def name(self) -> bool:
        return True

    def read(self, replica_id: str, incarnation: int) -> None:
        self.has_read = replica_id, incarnation

    def used(self, replica_id: str, usage: Usage, expected_tokens: int, *, is_settled: bool) -> None:
        self.was_used = replica_id, usage, expected_tokens, is_settled


class Deciding:
    """What decides in a worker, wired as a worker does it."""

    def __init__(
        self,
        *rows: ReplicaRecord,
        policy: Policy | None = None,
        parking_s: float = 0.0,
        max_parked: int = 1_000,
        on_dirty: Callable[[], None] = lambda: None,
    ) -> None:
        rng = random.Random(0)
        self.counters = LocalCounters()
        self.fleet = Fleet(self.counters)
        self.ledger = Ledger(self.fleet, self.counters)
        self.dispatcher = Dispatcher(
            self.fleet, self.ledger, policy or build("least_connection", rng), pushback(1.0, rng)
        )
        self.admission = Admission(self.fleet, self.dispatcher, Parking(parking_s, max_parked), on_dirty)
        self._version = 0
        self.apply(*rows)

    def apply(self, *rows: ReplicaRecord) -> FleetChange:
        self._version += 1
        return self.fleet.apply(Snapshot(self._version, rows))

    def in_flight(self, replica_id: str) -> tuple[int, int, int]:
        """Requests, prefill tokens and context tokens of the replica's present incarnation."""
        record = self.fleet.record(replica_id)
        assert record is not None
        return self.counters.total(self.counters.open(record))
