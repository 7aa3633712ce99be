from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.channel.messages import Awaited, Outcome, OutcomeKind
from gateway.config import HealthSettings, ReplicaSettings
from gateway.control.fleet_owner import Change, FleetOwner, ModelOffer
from gateway.types import LoadReport, ReplicaRecord, ReplicaState

A, B = ReplicaSettings(address="a:1"), ReplicaSettings(address="b:1", weight=2)
MODEL = ModelOffer("m")


def report(boot_id: int) -> LoadReport:
    return LoadReport(1.0, 1.0, 0.5, 0.0, boot_id, 0, 1.0)


class Seen:
    """What the owner said, and the owner."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self.now_s = 100.0
        self.owner = FleetOwner(self.changes.append, lambda: self.now_s, HealthSettings(slow_start_s=0))

    def record(self, replica_id: str = "a:1") -> ReplicaRecord:
        (record,) = (record for record in self.owner.snapshot().replicas if record.id == replica_id)
        return record

    def make_ready(self, boot_id: int = 0) -> None:
        self.owner.connected("a:1")
        self.owner.identified("a:1", boot_id)
        self.owner.serving("a:1", [MODEL])


@pytest.fixture
def seen() -> Seen:
    seen = Seen()
    seen.owner.assign([A, B])
    return seen


def test_a_replica_is_ready_only_when_it_serves_and_has_named_its_models(seen: Seen) -> None:
    assert seen.record() == ReplicaRecord("a:1", "a:1", 0, ReplicaState.STARTING, None, 1.0, None)
    seen.owner.connected("a:1")
    seen.owner.identified("a:1", 7)
    assert (seen.record().state, seen.owner.has_ready()) == (ReplicaState.STARTING, False)
    seen.owner.serving("a:1", [MODEL])
    assert seen.record() == ReplicaRecord("a:1", "a:1", 1, ReplicaState.READY, frozenset({"m"}), 1.0, None)
    assert seen.owner.has_ready()
    assert seen.record("b:1").state is ReplicaState.STARTING


def test_a_lost_connection_makes_it_suspect_and_the_next_one_starts_over(seen: Seen) -> None:
    seen.make_ready()
    seen.owner.lost("a:1", "socket closed")
    assert seen.record().state is ReplicaState.SUSPECT
    assert seen.owner.replicas[0].reason == "socket closed"
    seen.owner.connected("a:1")
    assert seen.record().state is ReplicaState.STARTING


def test_one_that_died_while_it_was_drained_is_not_ready_when_it_is_undrained(seen: Seen) -> None:
    seen.make_ready(boot_id=7)
    seen.owner.drain("a:1")
    seen.owner.lost("a:1", "socket closed")
    seen.owner.undrain("a:1")
    assert seen.record().state is ReplicaState.DRAINING
    seen.make_ready(boot_id=8)
    assert seen.record().state is ReplicaState.READY


def test_the_same_process_keeps_its_incarnation_over_a_reconnection(seen: Seen) -> None:
    seen.make_ready(boot_id=7)
    seen.owner.lost("a:1", "")
    seen.make_ready(boot_id=7)
    assert (seen.record().incarnation, seen.record().state) == (1, ReplicaState.READY)


def test_another_process_is_another_incarnation_without_the_old_ones_models(seen: Seen) -> None:
    seen.make_ready(boot_id=7)
    seen.owner.reported("a:1", report(7))
    seen.owner.lost("a:1", "")
    seen.owner.connected("a:1")
    seen.owner.identified("a:1", 8)
    assert seen.record() == ReplicaRecord("a:1", "a:1", 2, ReplicaState.STARTING, None, 1.0, None)


def test_without_boot_ids_each_connection_is_another_incarnation(seen: Seen) -> None:
    for incarnation in (1, 2, 3):
        seen.make_ready()
        seen.owner.identified("a:1", 0)
        assert seen.record().incarnation == incarnation
        seen.owner.lost("a:1", "")


def test_a_boot_id_that_comes_late_names_the_incarnation_that_has_begun(seen: Seen) -> None:
    seen.make_ready(boot_id=0)
    seen.owner.identified("a:1", 7)
    assert (seen.record().incarnation, seen.record().state) == (1, ReplicaState.READY)
    seen.owner.lost("a:1", "")
    seen.make_ready(boot_id=7)
    assert seen.record().incarnation == 1


def test_discovery_keeps_what_is_known_of_replicas_that_stay(seen: Seen) -> None:
    seen.make_ready()
    before = seen.record()
    seen.owner.assign([A])
    assert seen.owner.snapshot().replicas == (before,)
    seen.owner.assign([ReplicaSettings(address="a:1", weight=3)])
    assert seen.record() == before._replace(weight=3.0)


def test_a_replica_that_moved_starts_over_under_its_name(seen: Seen) -> None:
    seen.owner.assign([ReplicaSettings(id="a:1", address="a:1")])
    seen.make_ready()
    seen.owner.assign([ReplicaSettings(id="a:1", address="a:2")])
    assert seen.record() == ReplicaRecord("a:1", "a:2", 1, ReplicaState.STARTING, None, 1.0, None)
    seen.make_ready(boot_id=9)
    assert seen.record().incarnation == 2


def test_what_is_told_of_a_removed_replica_is_ignored(seen: Seen) -> None:
    seen.owner.assign([B])
    version = seen.owner.version
    seen.make_ready()
    seen.owner.lost("a:1", "")
    seen.owner.not_serving("a:1", "")
    seen.owner.reported("a:1", report(1))
    assert [record.id for record in seen.owner.snapshot().replicas] == ["b:1"]
    assert seen.owner.version == version


def test_load_reports_are_told_apart_from_what_cannot_wait(seen: Seen) -> None:
    seen.make_ready(boot_id=7)
    seen.changes.clear()
    seen.owner.reported("a:1", report(7))
    seen.owner.not_serving("a:1", "health check says NOT_SERVING")
    assert seen.changes == [Change.LOAD, Change.FLEET]
    assert seen.record().state is ReplicaState.DRAINING
    assert seen.record().load == report(7)


def fail(seen: Seen, replica_id: str, times: int = 1, incarnation: int | None = None) -> None:
    life = seen.record(replica_id).incarnation if incarnation is None else incarnation
    for _ in range(times):
        seen.owner.ended(Outcome(replica_id, life, OutcomeKind.FAILED))


def ready_fleet(count: int) -> Seen:
    seen = Seen()
    seen.owner.assign([ReplicaSettings(address=f"r{i}:1") for i in range(count)])
    for i in range(count):
        seen.owner.connected(f"r{i}:1")
        seen.owner.identified(f"r{i}:1", 7 + i)
        seen.owner.serving(f"r{i}:1", [MODEL])
    return seen


def states(seen: Seen) -> list[ReplicaState]:
    return [record.state for record in seen.owner.snapshot().replicas]


def test_failures_of_the_present_life_eject_and_those_of_an_old_one_do_not() -> None:
    seen = ready_fleet(2)
    fail(seen, "r0:1", 5, incarnation=99)
    assert seen.record("r0:1").state is ReplicaState.READY
    fail(seen, "r0:1", 5)
    assert seen.record("r0:1").state is ReplicaState.EJECTED
    seen.owner.identified("r0:1", 77)
    seen.owner.serving("r0:1", [MODEL])
    fail(seen, "r0:1", 4)
    assert seen.record("r0:1").state is ReplicaState.READY, "a new process has no history"


def test_no_more_than_the_share_of_the_fleet_is_ejected_but_one_always_may_be() -> None:
    seen = ready_fleet(5)
    for i in range(5):
        fail(seen, f"r{i}:1", 20)
    assert states(seen).count(ReplicaState.EJECTED) == 2
    alone = ready_fleet(1)
    fail(alone, "r0:1", 5)
    assert states(alone) == [ReplicaState.EJECTED]


def test_other_settings_hold_from_the_next_event_on_and_nothing_is_forgotten() -> None:
    seen = ready_fleet(2)
    fail(seen, "r0:1", 2)
    seen.owner.judge_by(HealthSettings(failures=3, ejection_s=7, panic_share=0))
    fail(seen, "r0:1")
    assert states(seen) == [ReplicaState.EJECTED, ReplicaState.READY]
    seen.owner.judge_by(HealthSettings(ejection_s=5))
    seen.now_s += 6
    seen.owner.tick()
    assert states(seen) == [ReplicaState.PROBATION, ReplicaState.READY]


def test_while_panic_uses_an_ejected_replica_the_gateway_serves() -> None:
    alone = ready_fleet(1)
    fail(alone, "r0:1", 5)
    assert states(alone) == [ReplicaState.EJECTED]
    assert alone.owner.has_ready()
    alone.owner.lost("r0:1", "gone")
    assert states(alone) == [ReplicaState.EJECTED]
    assert not alone.owner.has_ready()


def test_while_panic_uses_a_silent_replica_the_gateway_serves() -> None:
    alone = ready_fleet(1)
    alone.now_s += 60.0
    alone.owner.awaited(Awaited("r0:1", alone.record("r0:1").incarnation, alone.now_s - 30.0, 0.0, 0))
    assert states(alone) == [ReplicaState.SUSPECT]
    assert alone.owner.has_ready()
    alone.owner.judge_by(HealthSettings(panic_share=0))
    assert not alone.owner.has_ready()


def test_nothing_is_judged_while_the_health_connection_is_down() -> None:
    seen = ready_fleet(2)
    seen.owner.lost("r0:1", "socket closed")
    fail(seen, "r0:1", 20)
    seen.owner.awaited(Awaited("r0:1", seen.record("r0:1").incarnation, 1.0, seen.now_s, 0))
    assert seen.record("r0:1").state is ReplicaState.SUSPECT


def test_time_ends_an_ejection_and_the_trial_decides() -> None:
    seen = ready_fleet(2)
    fail(seen, "r0:1", 5)
    seen.now_s += 29
    seen.owner.tick()
    assert seen.record("r0:1").state is ReplicaState.EJECTED
    seen.now_s += 1
    seen.owner.tick()
    assert seen.record("r0:1").state is ReplicaState.PROBATION
    fail(seen, "r0:1")
    seen.now_s += 60
    seen.owner.tick()
    life = seen.record("r0:1").incarnation
    seen.owner.awaited(Awaited("r0:1", life, seen.now_s, seen.now_s + 1, 0))
    assert seen.record("r0:1").state is ReplicaState.READY


def test_silence_beyond_the_budget_is_suspect_unless_its_engine_gets_on() -> None:
    for moves in (False, True):
        seen = ready_fleet(1)
        seen.owner.reported("r0:1", report(7))
        life, began_at = seen.record("r0:1").incarnation, seen.now_s
        seen.now_s += 8
        if moves:
            seen.owner.reported("r0:1", replace(report(7), kv_cache_utilization=0.75, received_at=seen.now_s))
        seen.now_s += 8
        seen.owner.awaited(Awaited("r0:1", life, began_at, 0.0, prefill_tokens=2_000))
        assert states(seen) == [ReplicaState.READY if moves else ReplicaState.SUSPECT]


def test_tells_each_load_report_once() -> None:
    seen = ready_fleet(2)
    seen.owner.reported("r1:1", report(8))
    assert [told[0] for told in seen.owner.take_loads()] == ["r1:1"]
    assert seen.owner.take_loads() == []


CALLS: list[Callable[[FleetOwner], None]] = [
    lambda owner: owner.assign([A]),
    lambda owner: owner.assign([A, B]),
    lambda owner: owner.connected("a:1"),
    lambda owner: owner.lost("a:1", ""),
    lambda owner: owner.identified("a:1", 0),
    lambda owner: owner.identified("a:1", 7),
    lambda owner: owner.identified("a:1", 8),
    lambda owner: owner.serving("a:1", [MODEL]),
    lambda owner: owner.serving("a:1", []),
    lambda owner: owner.not_serving("a:1", ""),
    lambda owner: owner.reported("a:1", report(7)),
]


@given(st.lists(st.sampled_from(CALLS), max_size=30))
def test_each_change_and_nothing_else_raises_the_version_and_is_told(calls: list[Callable[[FleetOwner], None]]) -> None:
    seen = Seen()
    before = seen.owner.snapshot()
    for call in calls:
        told = len(seen.changes)
        call(seen.owner)
        after = seen.owner.snapshot()
        assert (after.replicas != before.replicas) <= (after.version > before.version)
        assert (after.version > before.version) == (len(seen.changes) > told)
        known = {record.id: record.incarnation for record in before.replicas}
        assert all(record.incarnation >= known.get(record.id, 0) for record in after.replicas)
        before = after
