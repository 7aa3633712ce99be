"""A fleet of simulated schedulers behind the gateway's own fleet, ledger and policy, in virtual time."""

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from gateway.dispatch.dispatch import Dispatcher
from gateway.fleet.fleet import Fleet
from gateway.fleet.leases import Lease, Ledger, LocalCounters
from gateway.policies import build
from gateway.types import Facts, LoadReport, ReplicaRecord, ReplicaState, Snapshot
from serving.engines.simulated.profiles import LLAMA_3_1_8B_H100
from serving.engines.simulated.request import Request, State
from serving.engines.simulated.scheduler import Scheduler, Step

_MODEL = "model"


@dataclass(frozen=True)
class Load:
    requests: int
    replicas: int
    per_s: float = 10.0
    """Arrivals for each replica. Their prompts, 3,080 tokens on average at 20.2 us, take three fifths of its time."""
    seed: int = 1


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


class _Replica:
    """One scheduler, and what it tells of itself."""

    def __init__(self, number: int) -> None:
        self.id = f"replica-{number}"
        self.boot_id = number + 1
        self.scheduler = Scheduler[Request](LLAMA_3_1_8B_H100.limits, LLAMA_3_1_8B_H100.step_time)
        self.received = 0
        self.is_stepping = False

    def report(self, now_s: float) -> LoadReport:
        scheduler = self.scheduler
        return LoadReport(
            scheduler.queue_depth,
            scheduler.running_requests,
            scheduler.kv_cache_utilization,
            scheduler.uncached_waiting_tokens,
            self.boot_id,
            self.received,
            now_s,
        )


def _row(replica_id: str) -> ReplicaRecord:
    return ReplicaRecord(replica_id, replica_id, 1, ReplicaState.READY, frozenset((_MODEL,)), 1.0, None)


class Simulation:
    def __init__(self, policy: str, staleness_s: float, load: Load) -> None:
        self._rng = random.Random(load.seed)
        self._load = load
        self._staleness_s = staleness_s
        self._replicas = {replica.id: replica for replica in map(_Replica, range(load.replicas))}
        self._fleet = Fleet(counters := LocalCounters())
        self._fleet.apply(Snapshot(1, tuple(map(_row, self._replicas))))
        ledger = Ledger(self._fleet, counters)
        self._dispatcher = Dispatcher(self._fleet, ledger, build(policy, random.Random(load.seed)), lambda: 1.0)
        self._events: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self._names = count()
        self._leases: dict[Request, Lease] = {}
        self._arrived_at: dict[Request, float] = {}
        """Of those without a token."""
        self._ttfts_s: list[float] = []
        self._left = load.requests

    def run(self) -> Sequence[float]:
        """Return the times to first token of all requests, in the order of their first tokens."""
        self._at(0.0, self._arrive)
        if self._staleness_s:
            for number, replica in enumerate(self._replicas.values()):
                self._at(
                    self._staleness_s * number / len(self._replicas),
                    lambda now_s, one=replica: self._report(one, now_s),
                )
        while len(self._ttfts_s) < self._load.requests or self._leases:
            at, _, event = heapq.heappop(self._events)
            event(at)
        return self._ttfts_s

    def _at(self, at: float, event: Callable[[float], None]) -> None:
        heapq.heappush(self._events, (at, next(self._order), event))

    def _report(self, replica: _Replica, now_s: float) -> None:
        self._fleet.reported(replica.id, 1, replica.report(now_s))
        self._at(now_s + self._staleness_s, lambda later_s: self._report(replica, later_s))

    def _arrive(self, now_s: float) -> None:
        rng = self._rng
        if not self._staleness_s:
            for replica in self._replicas.values():
                self._fleet.reported(replica.id, 1, replica.report(now_s))
        # A chat's short question, or a document: what makes counts of requests a poor measure of work.
        prompt_tokens = rng.randint(200, 1_000) if rng.random() < 0.8 else rng.randint(8_000, 18_000)
        name = next(self._names)
        request = Request(prompt_tokens, rng.randint(20, 300), lambda number: (name, number))
        lease = self._dispatcher.dispatch(Facts("/m", _MODEL, prompt_tokens=prompt_tokens), now_s)
        assert isinstance(lease, Lease), lease
        replica = self._replicas[lease.replica_id]
        replica.received += 1
        replica.scheduler.submit(request, now_s)
        self._leases[request] = lease
        self._arrived_at[request] = now_s
        self._wake(replica, now_s)
        self._left -= 1
        if self._left:
            self._at(now_s + rng.expovariate(self._load.per_s * len(self._replicas)), self._arrive)

    def _wake(self, replica: _Replica, now_s: float) -> None:
        at = None if replica.is_stepping else replica.scheduler.next_step_at(now_s)
        if at is not None:
            replica.is_stepping = True
            self._at(at, lambda begin_s: self._step(replica, begin_s))

    def _step(self, replica: _Replica, now_s: float) -> None:
        step = replica.scheduler.step(now_s)
        if step is None:
            replica.is_stepping = False
            self._wake(replica, now_s)
        else:
            self._at(now_s + step.duration_s, lambda end_s: self._stepped(replica, step, end_s))

    def _stepped(self, replica: _Replica, step: Step[Request], now_s: float) -> None:
        for request in step.produced:
            if request in self._arrived_at:
                self._leases[request].first_token(now_s)
                self._ttfts_s.append(now_s - self._arrived_at.pop(request))
            if request.state is State.ENDED:
                self._leases.pop(request).release()
        replica.is_stepping = False
        self._wake(replica, now_s)
