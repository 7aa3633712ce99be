"""What several workers decide together: one piece of memory, one admission each."""

import random
from collections.abc import Sequence

from gateway.dispatch.admission import Admission, Parked, Parking
from gateway.dispatch.dispatch import Dispatcher
from gateway.errors import Refused
from gateway.fleet.fleet import LOOK_INTERVAL_S, Fleet
from gateway.fleet.leases import Lease, Ledger
from gateway.fleet.shared_counters import Cell, Rows, SharedCounters, SharedTally
from gateway.policies import build
from gateway.policies.base import Policy
from gateway.relay.memory import CHUNK_BYTES, RequestMemory
from gateway.types import Facts, Snapshot, View, Wait
from tests.gateway.fleets import facts, row, shared_rows


class OnePlaceEach:
    """A policy for replicas that take one request at a time."""

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View | Wait:
        free = [view for view in views if not view.requests]
        return free[0] if free else Wait("all are busy")


class Worker:
    def __init__(self, rows: Rows, number: int, policy: Policy, max_parked: int = 10) -> None:
        counters = SharedCounters(rows, number, is_ordered=True)
        self.fleet = Fleet(counters)
        ledger = Ledger(self.fleet, counters)
        dispatcher = Dispatcher(self.fleet, ledger, policy, lambda: 1.0)
        self.waits = 0
        self.due = 0
        self.granted: list[Lease | Refused] = []
        tally = SharedTally(rows, number, Cell.PARKED_REQUESTS)
        parking = Parking(10.0, max_parked)
        self.admission = Admission(self.fleet, dispatcher, parking, self._on_dirty, self._on_waiting, tally)
        self.fleet.apply(Snapshot(1, tuple(row(name)._replace(slot=slot) for slot, name in enumerate("abcd"))))

    def admit(self, now_s: float) -> Lease | Refused | Parked:
        return self.admission.admit(facts(), now_s, (), self.granted.append)

    def _on_waiting(self) -> None:
        self.waits += 1

    def _on_dirty(self) -> None:
        self.due += 1


def workers(count: int, policy: str = "", max_parked: int = 10) -> list[Worker]:
    rows = shared_rows(count)
    made = (build(policy, random.Random(number)) if policy else OnePlaceEach() for number in range(count))
    return [Worker(rows, number, each, max_parked) for number, each in enumerate(made)]


def test_requests_that_come_to_different_workers_are_spread_as_if_they_had_come_to_one() -> None:
    them = workers(4, policy="least_connection")
    granted = [them[number % 4].admit(number * 1.1 * LOOK_INTERVAL_S) for number in range(40)]
    leases = [lease for lease in granted if isinstance(lease, Lease)]
    counts = [sum(lease.replica_id == name for lease in leases) for name in "abcd"]
    assert counts == [10, 10, 10, 10]


def test_a_place_that_another_worker_has_freed_goes_to_one_that_waits() -> None:
    first, second = workers(2)
    leases = [first.admit(float(second_s)) for second_s in range(4)]
    assert isinstance(second.admit(5.0), Parked)
    assert second.waits == 1
    held = leases[0]
    assert isinstance(held, Lease)
    held.release()
    second.fleet.look_elsewhere(6.0)
    assert second.due == 1
    second.admission.run(6.0)
    (granted,) = second.granted
    assert isinstance(granted, Lease)
    assert granted.replica_id == held.replica_id


def test_no_more_wait_in_all_workers_together_than_may() -> None:
    first, second = workers(2, max_parked=2)
    for second_s in range(4):
        first.admit(float(second_s))
    parked = [first.admit(5.0), second.admit(5.0)]
    assert all(isinstance(each, Parked) for each in parked)
    assert isinstance(second.admit(6.0), Refused)
    assert isinstance(first.admit(6.0), Refused)
    leaving = parked[0]
    assert isinstance(leaving, Parked)
    first.admission.cancel(leaving)
    assert isinstance(second.admit(7.0), Parked)


def test_memory_for_requests_is_bounded_over_all_workers() -> None:
    rows = shared_rows(2)
    first, second = (
        RequestMemory(100 + 2 * CHUNK_BYTES, SharedTally(rows, number, Cell.REQUEST_BYTES)) for number in range(2)
    )
    assert first.take(bytes(60))
    assert second.take(bytes(40))
    assert not second.take(b"")
    second.give_back([b""])
    first.give_back([bytes(60)])
    assert second.take(bytes(60))
