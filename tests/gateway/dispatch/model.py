"""A worker's decisions and, beside them, what is known to be true of each request, lease and replica."""

import random
from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from gateway.dispatch.admission import Parked
from gateway.errors import Reason, Refused
from gateway.fleet.leases import Lease
from gateway.policies import build
from gateway.policies.base import Policy
from gateway.types import Facts, ReplicaRecord, ReplicaState, View, Wait
from tests.gateway.fleets import Deciding, facts, row

IDS = ("a", "b", "c")
PARKING_S = 10.0


class Limited:
    """A policy that makes requests wait: at most so many requests and prompt tokens at a replica."""

    def __init__(self, inner: Policy, requests: int, tokens: int) -> None:
        self._inner = inner
        self._requests = requests
        self._tokens = tokens

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View | Wait | Refused:
        free = self.free(facts, views)
        return self._inner.pick(facts, free, now_s) if free else Wait("all are full")

    def free(self, facts: Facts, views: Sequence[View]) -> Sequence[View]:
        tokens = self._tokens - facts.prompt_tokens
        return [view for view in views if view.requests < self._requests and view.context_tokens <= tokens]


class Request:
    def __init__(self, facts: Facts, excluded: frozenset[str], arrival: int) -> None:
        self.facts = facts
        self.excluded = excluded
        self.order = facts.priority, arrival
        self.parked: Parked | None = None
        self.ends: list[Lease | Refused | str] = []

    @property
    def line(self) -> tuple[str | None, frozenset[str]]:
        return self.facts.model, self.excluded


class Model:
    def __init__(self, policy: str, requests: int, max_parked: int) -> None:
        self.now_s = 0.0
        self.policy = Limited(build(policy, random.Random(0)), requests, tokens=1_500)
        self.deciding = Deciding(
            policy=self.policy, parking_s=PARKING_S, max_parked=max_parked, on_dirty=self._ask_for_a_turn
        )
        self.rows = {replica_id: row(replica_id, incarnation=0, models=frozenset("x")) for replica_id in IDS}
        self.unreachable: set[str] = set()
        self.incarnations = Counter[str]()
        self.waiting: list[Request] = []
        self.ended: list[Request] = []
        self.held: list[Lease] = []
        self.prefilled: set[Lease] = set()
        self.is_turn_due = False
        self.deciding.apply(*self.rows.values())

    # What control and connections say.

    def change(self, replica_id: str, state: ReplicaState, models: frozenset[str] | None, is_restarted: bool) -> None:
        self.incarnations[replica_id] += is_restarted
        changed = row(replica_id, state, incarnation=self.incarnations[replica_id], models=models)
        self.deciding.apply(*(self.rows | {replica_id: changed}).values())
        if is_restarted or state is ReplicaState.GONE:
            self.unreachable.discard(replica_id)
        if state is ReplicaState.GONE:
            self.rows.pop(replica_id, None)
        else:
            self.rows[replica_id] = changed

    def remove(self, replica_id: str) -> None:
        self.rows.pop(replica_id, None)
        self.unreachable.discard(replica_id)
        self.deciding.apply(*self.rows.values())

    def set_reachable(self, replica_id: str, is_reachable: bool) -> None:
        self.unreachable.discard(replica_id)
        if replica_id in self.rows and not is_reachable:
            self.unreachable.add(replica_id)
        self.deciding.fleet.set_reachable(replica_id, is_reachable)

    # What agents and replicas do.

    def admit(self, facts: Facts, excluded: frozenset[str]) -> None:
        request = Request(facts, excluded, arrival=len(self.waiting) + len(self.ended))
        outcome = self.deciding.admission.admit(facts, self.now_s, excluded, lambda end: self._end(request, end))
        if isinstance(outcome, Parked):
            request.parked = outcome
            self.waiting.append(request)
        else:
            self._end(request, outcome)

    def leave(self, request: Request) -> None:
        assert request.parked is not None
        self._forget(request, "left")
        self.deciding.admission.cancel(request.parked)

    def first_token(self, lease: Lease) -> None:
        lease.first_token(0.0)
        self.prefilled.add(lease)

    def release(self, lease: Lease) -> None:
        self.held.remove(lease)
        self.prefilled.discard(lease)
        lease.release()

    # What the loop does.

    def turn(self) -> None:
        self.is_turn_due = False
        self.deciding.admission.run(self.now_s)

    def pass_time(self, time_s: float) -> None:
        self.now_s += time_s
        for request in list(self.waiting):
            assert request.parked is not None
            if request.parked.expires_at <= self.now_s:
                self._forget(request, self.deciding.admission.expire(request.parked))

    # What must hold, always.

    def check(self) -> None:
        self._check_that_requests_end_once()
        if not self.is_turn_due:
            self._check_that_nobody_waits_for_what_is_free()
        self._check_that_counters_are_the_sum_of_the_leases()

    def finish(self) -> None:
        """End everything; nothing may be counted then."""
        for request in list(self.waiting):
            self.leave(request)
        for lease in list(self.held):
            self.release(lease)
        self.check()
        assert all(in_flight == (0, 0, 0) for _, in_flight in self.deciding.counters.own())

    def _check_that_requests_end_once(self) -> None:
        assert len(self.deciding.admission) == len(self.waiting)
        assert not any(request.ends for request in self.waiting)
        assert all(len(request.ends) == 1 for request in self.ended)

    def _check_that_nobody_waits_for_what_is_free(self) -> None:
        for request in self._firsts():
            views = self.deciding.fleet.views(request.facts, request.excluded)
            assert not self.policy.free(request.facts, views)

    def _check_that_counters_are_the_sum_of_the_leases(self) -> None:
        assert self.deciding.ledger.audit() == 0
        assert len(self.deciding.ledger) == len(self.held)
        for view in self.deciding.fleet.views(facts(None)):
            leases = [one for one in self.held if (one.replica_id, one.incarnation) == (view.id, view.incarnation)]
            assert view.requests == len(leases)
            assert view.context_tokens == sum(lease.facts.prompt_tokens for lease in leases)
            unread = (lease.facts.prompt_tokens for lease in leases if lease not in self.prefilled)
            assert view.prefill_tokens == sum(unread)

    def _check_grant(self, request: Request, lease: Lease) -> None:
        """The lease is on a replica that may serve the request, and that nobody before it could have had."""
        record = self.rows[lease.replica_id]
        assert self._may_serve(record, request.facts)
        assert (record.incarnation, record.address) == (lease.incarnation, lease.address)
        assert lease.replica_id not in self.unreachable | request.excluded
        if request.facts.model:
            assert request.facts.model in (record.models or ())
        for first in self._firsts():
            if first.order < request.order:
                assert first.line != request.line
                views = self.deciding.fleet.views(first.facts, first.excluded)
                before = [_without(view, lease) for view in views if view.id == lease.replica_id]
                assert not self.policy.free(first.facts, before)

    def _may_serve(self, record: ReplicaRecord, facts: Facts) -> bool:
        """Whether it is ready, on trial with its first request, or too few of those that could serve are ready."""
        usable = (ReplicaState.READY, ReplicaState.SUSPECT, ReplicaState.EJECTED, ReplicaState.PROBATION)
        models = frozenset[str]().union(*(row.models or () for row in self.rows.values()))
        model = facts.model or (next(iter(models), None) if facts.model == "" else None)
        serving = [
            row for row in self.rows.values() if row.state in usable and (not model or model in (row.models or ()))
        ]
        ready = [row for row in serving if row.state is ReplicaState.READY and row.id not in self.unreachable]
        if record in ready or (record in serving and len(ready) < len(serving) / 2):
            return True
        held = {(lease.replica_id, lease.incarnation) for lease in self.held}
        return record.state is ReplicaState.PROBATION and (record.id, record.incarnation) not in held

    def _firsts(self) -> list[Request]:
        """The first of each line."""
        firsts: dict[object, Request] = {}
        for request in sorted(self.waiting, key=lambda request: request.order):
            firsts.setdefault(request.line, request)
        return list(firsts.values())

    def _end(self, request: Request, end: Lease | Refused) -> None:
        if isinstance(end, Lease):
            self._check_grant(request, end)
            self.held.append(end)
        elif end.reason is Reason.NO_REPLICA_READY:
            assert request.excluded
        else:
            assert end.reason in (Reason.OVERLOADED, Reason.MODEL_NOT_FOUND, Reason.INVALID_REQUEST)
        self._forget(request, end)

    def _forget(self, request: Request, end: Lease | Refused | str) -> None:
        request.ends.append(end)
        self.ended.append(request)
        if request in self.waiting:
            self.waiting.remove(request)

    def _ask_for_a_turn(self) -> None:
        assert not self.is_turn_due
        self.is_turn_due = True


def _without(view: View, lease: Lease) -> View:
    """The view as it was before the lease."""
    return replace(view, requests=view.requests - 1, context_tokens=view.context_tokens - lease.facts.prompt_tokens)
