"""Several workers over one piece of memory, in one process: their events interleave in every order that counts."""

import os
import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.fleet.fleet import LOOK_INTERVAL_S, Fleet
from gateway.fleet.leases import Lease, Ledger
from gateway.fleet.presence import Presence
from gateway.fleet.shared_counters import RING, Cell, Rows, SharedCounters, SharedTally
from gateway.types import ReplicaRecord, Snapshot, View
from tests.gateway.fleets import facts, row, shared_rows

EVENTS = int(os.environ.get("LEASE_EVENTS", "20000"))
"""A million, as `make test-compiled` has them, take 30 s of CPU."""

workers = st.integers(0, 3)
indices = st.integers(0, 20)


def record(slot: int, replica_id: str = "a") -> ReplicaRecord:
    return row(replica_id)._replace(slot=slot)


def rows(workers: int) -> Rows:
    made = shared_rows(workers)
    for slot in range(6):
        made.begin(slot)
    return made


def counters(shared: Rows, worker: int, *, is_ordered: bool = True, slots: int = 1) -> SharedCounters:
    made = SharedCounters(shared, worker, is_ordered=is_ordered)
    for slot in range(slots):
        made.open(record(slot))
    return made


def test_each_worker_sees_the_sum_once_it_has_looked() -> None:
    shared = rows(2)
    one, other = counters(shared, 0), counters(shared, 1)
    one.add(0, 1, 10, 20)
    other.add(0, 1, 1, 2)
    assert other.total(0) == (1, 1, 2)
    assert set(other.changed_elsewhere()) == {0}
    assert other.total(0) == (2, 11, 22)
    assert dict(other.own()) == {0: (1, 1, 2)}
    assert not other.changed_elsewhere()


def test_one_worker_has_nobody_to_look_at() -> None:
    alone = counters(rows(1), 0)
    alone.add(0, 1, 10, 20)
    assert alone.total(0) == (1, 10, 20)
    assert not alone.changed_elsewhere()


def test_one_who_was_away_for_longer_than_the_ring_looks_at_everything() -> None:
    shared = rows(2)
    one, other = counters(shared, 0, slots=3), counters(shared, 1, slots=3)
    one.add(2, 1, 0, 0)
    for _ in range(RING):
        one.add(0, 1, 0, 0)
    assert set(other.changed_elsewhere()) == {0, 1, 2}
    assert (other.total(0)[0], other.total(2)[0]) == (RING, 1)


def test_where_stores_may_be_seen_late_what_changed_is_looked_at_twice() -> None:
    shared = rows(2)
    one, other = counters(shared, 0), counters(shared, 1, is_ordered=False)
    one.add(0, 1, 0, 0)
    assert [set(other.changed_elsewhere()) for _ in range(3)] == [{0}, {0}, set()]


def test_slots_that_are_not_known_yet_are_read_when_they_are() -> None:
    shared = rows(2)
    one, other = counters(shared, 0, slots=6), counters(shared, 1)
    one.add(5, 1, 2, 3)
    assert not other.changed_elsewhere()
    other.open(record(5))
    assert other.total(5) == (1, 2, 3)


def test_a_buried_worker_has_nothing_in_flight_and_its_successor_begins_at_nothing() -> None:
    shared = rows(2)
    dead, other = counters(shared, 0), counters(shared, 1)
    SharedTally(shared, 0, Cell.REQUEST_BYTES).set(7)
    dead.add(0, 1, 10, 20)
    other.add(0, 1, 0, 0)
    other.changed_elsewhere()
    shared.bury(0)
    assert set(other.changed_elsewhere()) == {0}
    assert other.total(0) == (1, 0, 0)
    assert SharedTally(shared, 1, Cell.REQUEST_BYTES).elsewhere() == 0
    successor = counters(shared, 0)
    assert successor.total(0) == (1, 0, 0)
    assert dict(successor.own()) == {0: (0, 0, 0)}
    successor.add(0, 1, 0, 0)
    assert set(other.changed_elsewhere()) == {0}
    assert other.sent(0) == 3


def test_a_slot_is_idle_when_no_worker_counts_in_it_and_begins_again_with_nothing_sent() -> None:
    shared = rows(2)
    one, other = counters(shared, 0), counters(shared, 1)
    one.add(0, 1, 5, 0)
    other.add(0, 1, 0, 0)
    other.add(0, -1, 0, 0)
    assert not shared.is_idle(0)
    one.add(0, -1, -5, 0)
    assert shared.is_idle(0)
    shared.begin(0)
    assert [one.open(record(0)), one.sent(0)] == [0, 0]
    one.add(0, 1, 0, 0)
    assert one.sent(0) == 1


def test_tallies_are_summed_over_the_others() -> None:
    shared = rows(3)
    tallies = [SharedTally(shared, worker, Cell.PARKED_REQUESTS) for worker in range(3)]
    for number, tally in enumerate(tallies):
        tally.set(10**number)
    assert [tally.elsewhere() for tally in tallies] == [110, 101, 11]


def test_a_fleet_looks_at_the_others_once_in_an_interval_and_says_when_something_has_changed() -> None:
    shared = rows(2)
    other = counters(shared, 1)
    fleet, told = Fleet(SharedCounters(shared, 0, is_ordered=True)), list[float]()
    fleet.apply(Snapshot(1, (record(0),)))
    fleet.on_change(lambda: told.append(now_s))
    now_s = 5.0
    fleet.look_elsewhere(now_s)
    other.add(0, 1, 0, 0)
    fleet.look_elsewhere(now_s)
    assert (fleet.views(facts())[0].requests, told) == (0, [])
    now_s += 1.1 * LOOK_INTERVAL_S
    fleet.look_elsewhere(now_s)
    assert (fleet.views(facts())[0].requests, told) == (1, [now_s])


class Gateway:
    """Workers with fleets and ledgers over one memory, and a control that gives out slots. Each step is one event."""

    def __init__(self, workers: int, rng: random.Random) -> None:
        self.rng = rng
        self.shared = rows(workers)
        self.records = {name: row(name) for name in "abcdef"}
        self.version = 1
        self.next_slot = 0
        for name in self.records:
            self._begin(name)
        self.fleets: list[Fleet] = []
        self.ledgers: list[Ledger] = []
        self.leases: list[list[Lease]] = [[] for _ in range(workers)]
        for worker in range(workers):
            fleet, ledger = self._worker(worker)
            self.fleets.append(fleet)
            self.ledgers.append(ledger)

    def _begin(self, name: str) -> None:
        self.records[name] = self.records[name]._replace(incarnation=self.version, slot=self.next_slot)
        self.shared.begin(self.next_slot)
        self.next_slot += 1

    def _worker(self, worker: int) -> tuple[Fleet, Ledger]:
        own = SharedCounters(self.shared, worker, is_ordered=self.rng.random() < 0.5)
        fleet = Fleet(own)
        fleet.apply(self._snapshot())
        return fleet, Ledger(fleet, own)

    def _snapshot(self) -> Snapshot:
        return Snapshot(self.version, tuple(self.records.values()))

    def step(self) -> None:
        """One event, by its dice."""
        rng = self.rng
        worker, dice, which = rng.randrange(len(self.fleets)), rng.random(), rng.randrange(1 << 16)
        if dice < 0.4:
            self.grant(worker, which, rng.randrange(1_000))
        elif dice < 0.6:
            self.first_token(worker, which)
        elif dice < 0.995:
            self.release(worker, which)
        elif dice < 0.998:
            self.restart_a_replica(which)
        else:
            self.crash(worker)

    def grant(self, worker: int, which: int, tokens: int) -> None:
        views = self.fleets[worker].views(facts())
        view = views[which % len(views)]
        self.leases[worker].append(self.ledgers[worker].grant(view, facts(prompt_tokens=tokens), "a:1", 0))

    def first_token(self, worker: int, which: int) -> None:
        if held := self.leases[worker]:
            held[which % len(held)].first_token(0.0)

    def release(self, worker: int, which: int) -> None:
        if held := self.leases[worker]:
            held.pop(which % len(held)).release()

    def restart_a_replica(self, which: int) -> None:
        self.version += 1
        self._begin(sorted(self.records)[which % len(self.records)])
        for fleet in self.fleets:
            fleet.apply(self._snapshot())

    def crash(self, worker: int) -> None:
        """Its leases end with it."""
        self.shared.bury(worker)
        self.leases[worker].clear()
        self.fleets[worker], self.ledgers[worker] = self._worker(worker)

    def finish(self, now_s: float) -> None:
        """End everything; nothing may be counted then."""
        for held in self.leases:
            for lease in held:
                lease.release()
            held.clear()
        self.check(now_s)
        assert all(self.shared.is_idle(slot) for slot in range(self.next_slot))

    def check(self, now_s: float) -> None:
        streams = [Presence(self.shared, worker).streams for worker in range(len(self.leases))]
        assert streams == [len(held) for held in self.leases]
        for fleet, ledger in zip(self.fleets, self.ledgers, strict=True):
            assert ledger.audit() == 0
            # Twice, for those that do not trust the order of stores.
            fleet.look_elsewhere(now_s)
            fleet.look_elsewhere(now_s + 2 * LOOK_INTERVAL_S)
            for view in fleet.views(facts()):
                assert (view.requests, view.prefill_tokens, view.context_tokens) == self._sum(view)

    def _sum(self, view: View) -> tuple[int, int, int]:
        life = view.id, view.incarnation
        leases = [lease for held in self.leases for lease in held if (lease.replica_id, lease.incarnation) == life]
        return (
            len(leases),
            sum(lease.prefill_tokens for lease in leases),
            sum(lease.facts.prompt_tokens for lease in leases),
        )


class Workers(RuleBasedStateMachine):
    """Hypothesis finds the shortest way to a wrong sum; the dice below go far."""

    @initialize(count=st.integers(1, 4), seed=st.integers(0, 255))
    def start(self, count: int, seed: int) -> None:
        self.them = Gateway(count, random.Random(seed))
        self.now_s = 0.0

    @rule(worker=workers, which=indices, tokens=st.integers(0, 1_000))
    def request_comes(self, worker: int, which: int, tokens: int) -> None:
        self.them.grant(self._one(worker), which, tokens)

    @rule(worker=workers, which=indices)
    def first_token_comes(self, worker: int, which: int) -> None:
        self.them.first_token(self._one(worker), which)

    @rule(worker=workers, which=indices)
    def stream_ends(self, worker: int, which: int) -> None:
        self.them.release(self._one(worker), which)

    @rule(which=indices)
    def replica_restarts(self, which: int) -> None:
        self.them.restart_a_replica(which)

    @rule(worker=workers)
    def worker_crashes(self, worker: int) -> None:
        self.them.crash(self._one(worker))

    @invariant()
    def every_worker_sees_the_sum_of_all_leases(self) -> None:
        self.now_s += 1.0
        self.them.check(self.now_s)

    def teardown(self) -> None:
        self.them.finish(self.now_s + 1.0)

    def _one(self, worker: int) -> int:
        return worker % len(self.them.fleets)


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(max_examples=40, stateful_step_count=30)


@pytest.mark.parametrize("seed", range(2))
def test_views_show_the_sum_of_all_leases_after_many_events(seed: int) -> None:
    them = Gateway(4, random.Random(seed))
    for event in range(EVENTS // 2):
        them.step()
        if event % 500 == 0:
            them.check(now_s=float(event))
    them.finish(now_s=float(EVENTS))
