import random
from collections.abc import Sequence

import pytest

from gateway.dispatch.admission import Parked
from gateway.errors import Reason, Refused
from gateway.fleet.leases import Lease
from gateway.policies import build
from gateway.types import Facts, ReplicaRecord, ReplicaState, View, Wait
from tests.gateway.fleets import MODEL, Deciding, facts, row


class OnePlaceEach:
    """A policy for replicas that take one request at a time."""

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View | Wait:
        free = [view for view in views if not view.requests]
        return free[0] if free else Wait("all are busy")


class Room:
    """An admission in which requests have names."""

    def __init__(self, *rows: ReplicaRecord, parking_s: float = 10.0, max_parked: int = 1_000) -> None:
        self.due = 0
        self.deciding = Deciding(
            *rows, policy=OnePlaceEach(), parking_s=parking_s, max_parked=max_parked, on_dirty=self._on_dirty
        )
        self.admission = self.deciding.admission
        self.leases: dict[str, Lease] = {}
        self.ends: list[str] = []
        """Names in the order in which they were told, refusals with their reason."""

    def admit(
        self, name: str, *, model: str | None = MODEL, priority: int = 0, excluded: tuple[str, ...] = ()
    ) -> Lease | Refused | Parked:
        def tell(end: Lease | Refused) -> None:
            self._end(name, end)

        outcome = self.admission.admit(facts(model, priority=priority, request_id=name), 0.0, excluded, tell)
        if not isinstance(outcome, Parked):
            tell(outcome)
        return outcome

    def park(self, name: str, *, model: str | None = MODEL, priority: int = 0) -> Parked:
        outcome = self.admit(name, model=model, priority=priority)
        assert isinstance(outcome, Parked)
        return outcome

    def run(self) -> list[str]:
        """Run as a worker does: only when asked to. Return who was told."""
        before = len(self.ends)
        for _ in range(self.due):
            self.due -= 1
            self.admission.run(0.0)
        return self.ends[before:]

    def release(self, name: str) -> None:
        self.leases.pop(name).release()

    def _end(self, name: str, end: Lease | Refused) -> None:
        if isinstance(end, Lease):
            self.leases[name] = end
        self.ends.append(name if isinstance(end, Lease) else f"{name}: {end.reason}")

    def _on_dirty(self) -> None:
        self.due += 1


def test_gives_a_lease_at_once_where_there_is_a_place() -> None:
    room = Room(row("a"))
    assert isinstance(room.admit("first"), Lease)
    assert len(room.admission) == 0


def test_grants_what_waits_in_the_order_of_arrival() -> None:
    room = Room(row("a"))
    for name in ("holder", "first", "second", "third"):
        room.admit(name)
    granted: list[str] = []
    for name in ("holder", "first", "second"):
        room.release(name)
        granted += room.run()
    assert granted == ["first", "second", "third"]


def test_lower_priority_numbers_go_first() -> None:
    room = Room(row("a"))
    room.admit("holder")
    room.park("normal")
    room.park("later", priority=5)
    room.park("urgent", priority=-1)
    told: list[str] = []
    for name in ("holder", "urgent", "normal"):
        room.release(name)
        told += room.run()
    assert told == ["urgent", "normal", "later"]


def test_a_newcomer_never_takes_the_place_of_one_that_waits() -> None:
    room = Room(row("a"))
    room.admit("holder")
    room.park("waits")
    room.release("holder")
    room.park("newcomer")
    assert room.run() == ["waits"]


def test_nor_does_a_newcomer_for_another_model_on_the_same_replica() -> None:
    room = Room(row("a", models=frozenset(("x", "y"))))
    room.admit("holder", model="x")
    room.park("waits", model="y")
    room.release("holder")
    room.park("newcomer", model="x")
    assert room.run() == ["waits"]


def test_an_urgent_newcomer_is_asked_before_those_that_wait() -> None:
    room = Room(row("a"))
    room.admit("holder")
    room.park("waits")
    room.deciding.dispatcher.policy = build("random", random.Random(0))  # which never lets anybody wait
    assert isinstance(room.admit("urgent", priority=-1), Lease)
    assert isinstance(room.admit("newcomer"), Parked)


def test_a_model_that_waits_does_not_hold_up_another() -> None:
    room = Room(row("a", models=frozenset(("x",))), row("b", models=frozenset(("y",))))
    room.admit("x holds", model="x")
    room.admit("y holds", model="y")
    room.park("x waits", model="x")
    room.park("y waits", model="y")
    room.park("y waits too", model="y")
    room.release("y holds")
    assert room.run() == ["y waits"]
    assert isinstance(room.admit("another method", model=None), Parked)


def test_order_holds_over_models_that_share_a_replica() -> None:
    room = Room(row("a", models=frozenset(("x", "y"))))
    room.admit("holder", model="x")
    room.park("first", model="y")
    room.park("second", model="x")
    room.release("holder")
    assert room.run() == ["first"]


def test_those_that_exclude_replicas_do_not_hold_up_those_that_do_not() -> None:
    room = Room(row("a"), row("b"))
    room.admit("on a")
    room.admit("on b")
    assert isinstance(room.admit("not a", excluded=("a",)), Parked)
    room.park("any")
    room.release("on a")
    assert room.run() == ["any"]
    room.release("on b")
    assert room.run() == ["not a"]


def test_with_all_but_excluded_replicas_away_it_is_refused_rather_than_parked() -> None:
    room = Room(row("a"))
    room.admit("retry", excluded=("a",))
    assert room.ends == ["retry: NO_REPLICA_READY"]


def test_one_that_leaves_is_never_told_and_the_next_gets_its_place() -> None:
    room = Room(row("a"))
    room.admit("holder")
    leaver = room.park("leaver")
    room.park("stays")
    room.admission.cancel(leaver)
    room.admission.cancel(leaver)
    room.release("holder")
    assert room.run() == ["stays"]
    assert len(room.admission) == 0


def test_who_leaves_lets_those_behind_it_be_asked() -> None:
    room = Room(row("a"))
    room.admit("holder")
    leaver = room.park("leaver")
    room.park("stays")
    assert room.due == 0
    room.admission.cancel(leaver)
    assert room.due == 1


def test_waits_for_a_replica_to_become_ready() -> None:
    room = Room(row("a", ReplicaState.STARTING))
    parked = room.park("early")
    assert parked.expires_at == 10.0
    room.deciding.apply(row("a"))
    assert room.run() == ["early"]


def test_when_its_time_is_up_it_is_answered_with_what_it_waited_for() -> None:
    room = Room(row("a", ReplicaState.STARTING))
    refusal = room.admission.expire(room.park("early"))
    assert (refusal.reason, refusal.retry_after_s is not None) == (Reason.NO_REPLICA_READY, True)
    room.deciding.apply(row("a"))
    room.admit("holder")
    refusal = room.admission.expire(room.park("busy"))
    assert (refusal.reason, refusal.message) == (Reason.OVERLOADED, "all are busy")
    assert room.run() == []


def test_without_parking_nobody_waits() -> None:
    room = Room(row("a"), parking_s=0.0)
    room.admit("holder")
    room.admit("busy")
    room.deciding.apply(row("a", ReplicaState.DRAINING))
    room.admit("too early")
    assert room.ends == ["holder", "busy: OVERLOADED", "too early: NO_REPLICA_READY"]


def test_no_more_wait_than_the_limit() -> None:
    room = Room(row("a"), max_parked=2)
    for name in ("holder", "first", "second"):
        room.admit(name)
    outcome = room.admit("third")
    assert isinstance(outcome, Refused)
    assert (outcome.reason, outcome.retry_after_s is not None) == (Reason.OVERLOADED, True)
    assert len(room.admission) == 2


def test_a_request_that_can_never_be_served_does_not_wait() -> None:
    room = Room(row("a"))
    room.admit("unknown", model="other")
    assert room.ends == ["unknown: MODEL_NOT_FOUND"]


def test_is_asked_to_run_once_however_much_changes_and_not_at_all_while_nobody_waits() -> None:
    room = Room(row("a"), row("b"))
    room.deciding.apply(row("a"), row("b", weight=2.0))
    room.admit("on a")
    room.admit("on b")
    assert (room.due, room.admission.is_dirty) == (0, False)
    room.park("first")
    room.park("second")
    room.release("on a")
    room.release("on b")
    assert (room.due, room.admission.is_dirty) == (1, True)
    assert room.run() == ["first", "second"]
    assert (room.due, room.admission.is_dirty) == (0, False)


def test_a_callback_may_release_admit_and_cancel() -> None:
    room = Room(row("a"))
    room.admit("holder")
    gone = facts(request_id="gone")

    def on_granted(end: Lease | Refused) -> None:
        assert isinstance(end, Lease)
        end.release()
        room.admission.cancel(third)
        room.admit("fourth")

    room.admission.admit(gone, 0.0, (), on_granted)
    room.park("second")
    third = room.park("third")
    room.release("holder")
    assert room.run() == ["second"]
    room.release("second")
    assert room.run() == ["fourth"]
    assert len(room.admission) == 0


def test_a_callback_that_fails_does_not_cost_the_others_their_turn() -> None:
    room = Room(row("a"), row("b"))
    room.admit("on a")
    room.admit("on b")

    def fail(end: Lease | Refused) -> None:
        raise RuntimeError("its own defect")

    room.admission.admit(facts(), 0.0, (), fail)
    room.park("next")
    room.release("on a")
    room.release("on b")
    with pytest.raises(RuntimeError):
        room.run()
    room.due = 1
    assert room.run() == ["next"]
