"""A decision is explained as it would be taken, and stays as it would have been."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.config import ZoneSettings
from gateway.dispatch.explain import explain
from gateway.errors import Reason, Refused
from gateway.policies import build
from gateway.policies.zone_aware import ZoneAware
from gateway.types import Considered, Explanation, Facts, LoadReport, ReplicaState, View, Wait
from tests.gateway.dispatch.test_dispatch import Scripted
from tests.gateway.fleets import Cached, Deciding, facts, row, view
from tests.gateway.policies.test_every_policy import EVERY, asked


def by_id(explanation: Explanation) -> dict[str, Considered]:
    return {one.replica_id: one for one in explanation.considered}


def why(explanation: Explanation) -> dict[str, tuple[str, str]]:
    return {one.replica_id: (one.verdict, one.reason) for one in explanation.considered}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("zone", ["nowhere", "0"])
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32))
def test_what_is_explained_is_what_is_then_picked_and_nothing_else_changes(name: str, zone: str, seed: int) -> None:
    def made() -> ZoneAware:
        return ZoneAware(build(name, random.Random(seed)), ZoneSettings(name=zone))

    explained, alone = made(), made()
    for now_s, (request, fleet) in enumerate(asked(seed)):
        views = [replace(view, zone=view.id[:1]) for view in fleet]
        told = explain(explained, request, views, (), float(now_s))
        choice = explained.pick(request, views, float(now_s))
        assert choice is alone.pick(request, views, float(now_s))
        assert isinstance(choice, View)
        assert (told.outcome, told.replica_id) == ("picked", choice.id)
        assert {one.replica_id for one in told.considered} == {view.id for view in views}
        assert [one.replica_id for one in told.considered if one.verdict == "picked"] == [choice.id]


def test_a_policy_that_compares_shows_its_numbers() -> None:
    told = explain(build("least_connection", random.Random(0)), facts(), [view("a", 3), view("b", 1, 0.5)], (), 0.0)
    assert told.compares
    assert [(one.replica_id, one.load) for one in told.considered] == [("b", 2.0), ("a", 3.0)]
    assert why(told) == {"b": ("picked", "least load"), "a": ("passed_over", "more load")}


def test_equals_are_named() -> None:
    told = explain(build("least_connection", random.Random(0)), facts(), [view("a"), view("b"), view("c", 1)], (), 0.0)
    assert sorted(why(told).values()) == [
        ("passed_over", "as much load, another was drawn"),
        ("passed_over", "more load"),
        ("picked", "least load, drawn among 2"),
    ]


def test_a_policy_that_compares_by_no_number_says_so() -> None:
    told = explain(build("round_robin", random.Random(0)), facts(), [view("a"), view("b")], (), 0.0)
    assert (told.policy, told.compares) == ("round_robin", False)
    assert [one.load for one in told.considered] == [None, None]
    assert ("passed_over", "another was picked") in why(told).values()


def test_those_that_the_policy_does_not_look_at_have_its_reason() -> None:
    views = [view("a", 40), view("b", 4), view("c", 5)]
    request = replace(facts(prompt_tokens=100), prefix=Cached(a=90, c=80))
    told = explain(build("prefix_affinity", random.Random(0)), request, views, (), 0.0)
    assert why(told)["a"] == ("left_out", "over its share of requests, or less of the prompt cached")
    assert told.replica_id == "c"
    assert by_id(told)["a"].cached_tokens == 90


def test_zones_and_what_is_inside_are_explained_together() -> None:
    policy = ZoneAware(build("power_of_two", random.Random(0)), ZoneSettings(name="z"))
    views = [replace(view(name), zone=zone) for name, zone in (("a", "z"), ("b", "z"), ("c", "z"), ("d", "y"))]
    told = explain(policy, facts(), views, (), 0.0)
    assert told.policy == "ZoneAware:power_of_two"
    assert told.compares
    assert why(told)["d"] == ("left_out", "in another zone, and there is room at home")
    assert [verdict for verdict, reason in why(told).values() if reason == "not drawn"] == ["left_out"]


def test_wait_is_predicted_from_what_is_to_be_read_and_the_report_has_its_age() -> None:
    report = LoadReport(0, 0, 0.0, 3_000.0, 0, 0, received_at=8.5)
    told = explain(
        build("least_work", random.Random(0)),
        replace(facts(prompt_tokens=1_000), prefix=Cached(a=500)),
        [replace(view("a"), prefill_tokens=1_500), replace(view("b"), load=report)],
        (),
        10.0,
    )
    assert (by_id(told)["a"].expected_wait_s, by_id(told)["a"].report_age_s) == (pytest.approx(0.2), None)
    assert (by_id(told)["b"].expected_wait_s, by_id(told)["b"].report_age_s) == (pytest.approx(0.4), 1.5)


class Locked:
    """Cannot be copied."""

    def __init__(self) -> None:
        self._numbers = (number for number in range(9))

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View | Wait | Refused:
        return views[next(self._numbers)]


def raising(views: Sequence[View]) -> object:
    raise ZeroDivisionError("oh")


@pytest.mark.parametrize(
    ("policy", "outcome", "reason"),
    [
        (Scripted(lambda views: Wait("all are full")), "waits", "all are full"),
        (Scripted(lambda views: Refused(Reason.OVERLOADED, "too late")), "refused", "too late"),
        (Scripted(lambda views: view("z")), "failed", "it picked what is not a candidate"),
        (Scripted(lambda views: None), "failed", "it picked nothing"),
        (Scripted(raising), "failed", "ZeroDivisionError: oh"),
        (Locked(), "failed", "TypeError: cannot pickle 'generator' object"),
    ],
)
def test_a_policy_that_picks_nobody_is_explained_too(policy: Scripted | Locked, outcome: str, reason: str) -> None:
    told = explain(policy, facts(), [view("a")], (), 0.0)
    assert (told.outcome, told.reason, told.replica_id) == (outcome, reason, "")
    assert why(told) == {"a": ("passed_over", "none was picked")}


def test_replicas_that_are_no_candidates_say_why() -> None:
    deciding = Deciding(
        row("good"),
        row("starting", ReplicaState.STARTING),
        row("other", models=frozenset({"b"})),
        row("lost"),
        row("tried"),
    )
    deciding.fleet.set_reachable("lost", is_reachable=False)
    told = deciding.dispatcher.explain(facts(), 0.0, {"tried"})
    assert why(told) == {
        "good": ("picked", "least load"),
        "starting": ("no_candidate", "not ready: starting"),
        "other": ("no_candidate", "wrong model"),
        "lost": ("no_candidate", "no connection from this worker"),
        "tried": ("no_candidate", "excluded: tried before"),
    }
    adapter = deciding.dispatcher.explain(replace(facts(), lora_name="sql"), 0.0)
    assert (adapter.outcome, adapter.reason) == ("refused", "no replica serves the adapter 'sql' of the model 'llama'")
    assert why(adapter)["good"] == ("no_candidate", "no such adapter")
    gold = replace(facts(), route=facts().route._replace(labels=frozenset({("tier", "gold")})))
    assert why(deciding.dispatcher.explain(gold, 0.0))["good"] == ("no_candidate", "not of the route")
    unnamed = deciding.dispatcher.explain(facts(model=""), 0.0)
    assert why(unnamed)["good"] == ("no_candidate", "the request names none of several models")
    assert len(deciding.ledger) == 0


def test_a_replica_that_is_used_because_too_few_are_ready_is_shown_as_such() -> None:
    deciding = Deciding(row("bad", ReplicaState.EJECTED))
    told = deciding.dispatcher.explain(facts(), 0.0)
    assert why(told) == {"bad": ("picked", "least load (ejected)")}


def test_a_request_that_asks_is_told_what_it_then_gets_each_time_it_is_dispatched() -> None:
    told: list[Explanation] = []
    deciding = Deciding(row("a"), row("b"), policy=build("random", random.Random(5)))
    asking = replace(facts(), explained=told.append)
    leased = [deciding.dispatcher.dispatch(asking, 0.0) for _ in range(8)]
    assert [one.replica_id for one in told] == [getattr(lease, "replica_id", None) for lease in leased]
    assert len({one.replica_id for one in told}) == 2
