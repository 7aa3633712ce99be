import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.errors import Reason
from gateway.fleet.fleet import Fleet, FleetChange
from gateway.fleet.leases import LocalCounters
from gateway.types import ReplicaState, Snapshot
from tests.gateway.fleets import MODEL, Deciding, facts, row


def ids(deciding: Deciding, model: str | None = MODEL, excluded: tuple[str, ...] = ()) -> list[str]:
    return [view.id for view in deciding.fleet.views(facts(model), excluded)]


@pytest.mark.parametrize("state", list(ReplicaState))
def test_only_ready_replicas_and_those_on_trial_get_requests(state: ReplicaState) -> None:
    expected = ["a", "b"] if state in (ReplicaState.READY, ReplicaState.PROBATION) else ["b"]
    assert ids(Deciding(row("a", state), row("b"))) == expected


def test_a_replica_on_probation_gets_one_request_at_a_time() -> None:
    deciding = Deciding(row("a", ReplicaState.PROBATION), row("b"))
    assert ids(deciding) == ["a", "b"]
    lease = deciding.ledger.grant(deciding.fleet.views(facts())[0], facts(), "a:8000", 0.0)
    assert ids(deciding) == ["b"]
    lease.release()
    assert ids(deciding) == ["a", "b"]


@pytest.mark.parametrize("state", list(ReplicaState))
def test_with_less_than_half_ready_suspect_and_ejected_ones_help_but_none_that_says_it_cannot(
    state: ReplicaState,
) -> None:
    deciding = Deciding(row("a", ReplicaState.SUSPECT), row("b", ReplicaState.EJECTED), row("c"), row("d", state))
    is_of_use = state in (ReplicaState.READY, ReplicaState.SUSPECT, ReplicaState.EJECTED, ReplicaState.PROBATION)
    is_panic = state is not ReplicaState.READY
    assert ids(deciding) == (["a", "b"] if is_panic else []) + ["c"] + (["d"] if is_of_use else [])
    assert deciding.fleet.in_panic() == ([MODEL] if is_panic else [])


NEVER = (ReplicaState.STARTING, ReplicaState.DRAINING, ReplicaState.GONE)

lives = st.tuples(st.sampled_from(ReplicaState), st.booleans(), st.integers(0, 3))
"""State, whether this worker reaches it, requests in flight there."""


@given(lives=st.lists(lives, max_size=6))
def test_who_can_be_reached_and_does_not_start_drain_or_leave_is_found_whatever_is_said_of_the_others(
    lives: list[tuple[ReplicaState, bool, int]],
) -> None:
    deciding = Deciding(*(row(str(place), ReplicaState.READY) for place in range(len(lives))))
    for view, (_, _, requests) in zip(list(deciding.fleet.views(facts())), lives, strict=True):
        for _ in range(requests):
            deciding.ledger.grant(view, facts(), f"{view.id}:8000", 0.0)
    deciding.apply(*(row(str(place), state) for place, (state, _, _) in enumerate(lives)))
    for place, (_, is_reachable, _) in enumerate(lives):
        deciding.fleet.set_reachable(str(place), is_reachable)
    of_use = {str(place) for place, (state, is_reachable, _) in enumerate(lives) if is_reachable and state not in NEVER}
    assert set(ids(deciding)) <= of_use
    assert bool(ids(deciding)) == bool(of_use)


def test_need_is_a_matter_of_each_model_and_of_what_is_reachable() -> None:
    x, y = frozenset(("x",)), frozenset(("y",))
    deciding = Deciding(
        row("a", models=x), row("b", ReplicaState.SUSPECT, models=x), row("c", ReplicaState.SUSPECT, models=y)
    )
    assert (ids(deciding, "x"), ids(deciding, "y")) == (["a"], ["c"])
    assert deciding.fleet.in_panic() == ["y"]
    deciding.fleet.set_reachable("a", False)
    assert ids(deciding, "x") == ["b"]


def test_need_can_be_switched_off() -> None:
    fleet = Fleet(LocalCounters(), panic_share=0.0)
    fleet.apply(Snapshot(1, (row("a", ReplicaState.SUSPECT),)))
    assert list(fleet.views(facts())) == []
    fleet.panic_share = 0.5
    assert len(fleet.views(facts())) == 1


def test_says_which_replicas_have_just_become_doubtful() -> None:
    deciding = Deciding(row("a"), row("b"), row("c", ReplicaState.SUSPECT))
    change = deciding.apply(
        row("a", ReplicaState.SUSPECT), row("b", ReplicaState.DRAINING), row("c", ReplicaState.SUSPECT, weight=0.5)
    )
    assert (change.changed, change.doubtful) == (["a", "b", "c"], ["a"])
    assert deciding.apply(row("a", ReplicaState.EJECTED), row("b"), row("c")).doubtful == ["a"]


def test_candidates_are_in_the_order_of_their_ids_whatever_order_control_sends() -> None:
    assert ids(Deciding(row("c"), row("a"), row("b"))) == ["a", "b", "c"]


def test_leaves_out_what_was_tried() -> None:
    assert ids(Deciding(row("a"), row("b")), excluded=("a",)) == ["b"]


def test_a_replica_that_this_worker_cannot_reach_is_no_candidate_until_it_can() -> None:
    deciding = Deciding(row("a"), row("b"))
    deciding.fleet.set_reachable("a", False)
    assert ids(deciding) == ["b"]
    deciding.fleet.set_reachable("a", True)
    assert ids(deciding) == ["a", "b"]


def test_another_incarnation_or_address_is_untried_and_so_a_candidate() -> None:
    deciding = Deciding(row("a"), row("b"))
    deciding.fleet.set_reachable("a", False)
    deciding.fleet.set_reachable("b", False)
    change = deciding.apply(row("a", incarnation=2), row("b")._replace(address="elsewhere:1"))
    assert change == FleetChange(restarted=["a", "b"])
    assert ids(deciding) == ["a", "b"]


def test_says_what_a_snapshot_changed() -> None:
    deciding = Deciding(row("same"), row("slow"), row("leaves"), row("dies"))
    change = deciding.apply(
        row("same"),
        row("slow", weight=0.5),
        row("dies", ReplicaState.GONE),
        row("comes"),
        row("goes", ReplicaState.GONE),
    )
    assert sorted(change.removed) == ["dies", "leaves"]
    assert (change.added, change.changed, change.restarted) == (["comes"], ["slow"], [])


def test_ignores_a_snapshot_that_is_not_newer() -> None:
    fleet = Fleet(LocalCounters())
    fleet.apply(Snapshot(2, (row("a"),)))
    assert fleet.apply(Snapshot(2, ())) == FleetChange()
    assert fleet.apply(Snapshot(1, ())) == FleetChange()
    assert fleet.record("a") == row("a")


def test_a_request_goes_to_those_that_named_its_model() -> None:
    deciding = Deciding(
        row("a", models=frozenset(("x",))), row("b", models=frozenset(("x", "y"))), row("c", models=None)
    )
    assert ids(deciding, "x") == ["a", "b"]
    assert ids(deciding, "y") == ["b"]


def test_follows_a_replica_that_changes_its_models() -> None:
    deciding = Deciding(row("a", models=frozenset(("x",))))
    assert ids(deciding, "x") == ["a"]
    deciding.apply(row("a", models=frozenset(("y",))))
    assert ids(deciding, "x") == []
    assert ids(deciding, "y") == ["a"]


def test_an_empty_model_is_the_only_one_there_is() -> None:
    deciding = Deciding(row("a"), row("b", models=frozenset()))
    assert ids(deciding, "") == ["a"]


def test_an_empty_model_is_anything_where_none_was_named() -> None:
    assert ids(Deciding(row("a", models=frozenset())), "") == ["a"]


def test_an_empty_model_among_several_is_refused_as_the_agents_mistake() -> None:
    deciding = Deciding(row("a", models=frozenset(("x",))), row("b", models=frozenset(("y",))))
    assert ids(deciding, "") == []
    assert deciding.fleet.refusal(facts("")).reason is Reason.INVALID_REQUEST


def test_a_method_without_models_goes_to_any_ready_replica() -> None:
    deciding = Deciding(row("a", models=frozenset(("x",))), row("b", models=frozenset(("y",))), row("c", models=None))
    assert ids(deciding, None) == ["a", "b", "c"]


def test_an_unknown_model_is_not_found_only_once_every_replica_has_named_its_models() -> None:
    deciding = Deciding(row("a"), row("b", ReplicaState.STARTING, models=None))
    refusal = deciding.fleet.refusal(facts("other"), retry_after_s=3.0)
    assert (refusal.reason, refusal.retry_after_s) == (Reason.NO_REPLICA_READY, 3.0)
    deciding.apply(row("a"), row("b", models=frozenset()))
    refusal = deciding.fleet.refusal(facts("other"))
    assert (refusal.reason, refusal.retry_after_s) == (Reason.MODEL_NOT_FOUND, None)


def test_a_model_whose_replicas_are_all_away_is_still_known() -> None:
    deciding = Deciding(row("a", ReplicaState.DRAINING))
    assert deciding.fleet.refusal(facts()).reason is Reason.NO_REPLICA_READY


def test_an_empty_fleet_knows_no_model_to_be_wrong() -> None:
    assert Deciding().fleet.refusal(facts("other")).reason is Reason.NO_REPLICA_READY


def test_replaces_the_views_of_changed_replicas_and_no_others() -> None:
    deciding = Deciding(row("a"), row("b"), row("c"))
    a, b, c = deciding.fleet.views(facts())
    deciding.ledger.grant(b, facts(prompt_tokens=7), "b:8000", 0.0)
    deciding.apply(row("a"), row("b"), row("c", weight=2.0))
    after = deciding.fleet.views(facts())
    assert after[0] is a
    assert after[1] == replace(b, requests=1, prefill_tokens=7, context_tokens=7)
    assert after[2] == replace(c, weight=2.0)


def test_tells_when_a_request_that_waits_is_worth_another_try() -> None:
    deciding, told = Deciding(row("a")), list[str]()
    deciding.fleet.on_change(lambda: told.append("changed"))
    lease = deciding.ledger.grant(deciding.fleet.views(facts())[0], facts(prompt_tokens=5), "a:8000", 0.0)
    assert told == []
    lease.first_token(0.0)
    lease.first_token(0.0)
    assert len(told) == 1
    lease.release()
    assert len(told) == 2
    deciding.fleet.set_reachable("a", True)
    assert len(told) == 2
    deciding.fleet.set_reachable("a", False)
    deciding.apply(row("a", weight=2.0))
    assert len(told) == 4


def test_describes_itself_and_what_it_holds() -> None:
    deciding = Deciding(row("a"), row("b", ReplicaState.DRAINING, incarnation=4))
    deciding.fleet.set_reachable("b", False)
    assert repr(deciding.fleet) == "<Fleet version 1: <Replica a/1 READY>, <Replica b/4 DRAINING, unreachable>>"
    assert repr(deciding.ledger) == "<Ledger of 0>"
    assert repr(deciding.admission) == "<Admission: 0 of 1000 parked>"
