from gateway.control.slots import Slots
from gateway.fleet.shared_counters import SharedCounters
from gateway.types import ReplicaRecord, Snapshot
from tests.gateway.fleets import row, shared_rows


class Assigning:
    """Slots for two workers, of which one holds leases."""

    def __init__(self) -> None:
        self.rows = shared_rows(2)
        self.worker = SharedCounters(self.rows, 1, is_ordered=True)
        self.applied = 0
        self._slots = Slots(self.rows, lambda: self.applied)
        self._version = 0

    def assign(self, *records: ReplicaRecord) -> dict[str, int]:
        self._version += 1
        snapshot = self._slots.assign(Snapshot(self._version, records))
        assert snapshot.version == self._version
        for record in snapshot.replicas:
            self.worker.open(record)
        return {record.id: record.slot for record in snapshot.replicas}


def test_a_life_keeps_its_slot_and_no_two_share_one() -> None:
    them = Assigning()
    assert them.assign(row("a"), row("b")) == {"a": 0, "b": 1}
    assert them.assign(row("b"), row("c")) == {"b": 1, "c": 2}
    assert them.assign(row("b", incarnation=2), row("c")) == {"b": 3, "c": 2}


def test_a_slot_is_used_again_once_all_workers_know_that_its_life_is_over_and_nothing_is_in_flight() -> None:
    them = Assigning()
    them.assign(row("a"))
    them.worker.add(0, 1, 5, 5)
    assert them.assign(row("a", incarnation=2)) == {"a": 1}
    them.applied = 1
    assert them.assign(row("a", incarnation=3)) == {"a": 2}
    them.applied = 3
    # Slot 1 is idle, slot 0 is not.
    assert them.assign(row("a", incarnation=4)) == {"a": 1}
    them.worker.add(0, -1, -5, -5)
    assert them.assign(row("a", incarnation=5)) == {"a": 0}
    assert them.worker.sent(0) == 0
