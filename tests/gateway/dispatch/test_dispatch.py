import logging
import random
from collections.abc import Callable, Sequence
from typing import cast

import pytest
from msgspec.structs import replace

from gateway.dispatch.dispatch import pushback
from gateway.errors import Reason, Refused
from gateway.fleet.leases import Lease
from gateway.types import Facts, View, Wait
from tests.gateway.fleets import Deciding, facts, row, view


class Scripted:
    """A policy that does what the test says."""

    def __init__(self, pick: Callable[[Sequence[View]], object]) -> None:
        self._pick = pick

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View | Wait | Refused:
        return cast(View, self._pick(views))


def refused(outcome: object) -> Refused:
    assert isinstance(outcome, Refused)
    return outcome


def test_leases_what_the_policy_picks_with_its_address() -> None:
    deciding = Deciding(row("a"), row("b"), policy=Scripted(lambda views: views[1]))
    lease = deciding.dispatcher.dispatch(facts(prompt_tokens=9), 5.0)
    assert isinstance(lease, Lease)
    assert (lease.replica_id, lease.incarnation, lease.address, lease.granted_at) == ("b", 1, "b:8000", 5.0)
    assert deciding.in_flight("b") == (1, 9, 9)


def test_the_next_pick_sees_the_lease_of_the_last() -> None:
    seen: list[list[int]] = []

    def pick(views: Sequence[View]) -> View:
        seen.append([view.requests for view in views])
        return views[0]

    deciding = Deciding(row("a"), row("b"), policy=Scripted(pick))
    first = deciding.dispatcher.dispatch(facts(), 0.0)
    deciding.dispatcher.dispatch(facts(), 0.0)
    assert isinstance(first, Lease)
    first.release()
    deciding.dispatcher.dispatch(facts(), 0.0)
    assert seen == [[0, 0], [1, 0], [1, 0]]


@pytest.mark.parametrize("answer", [Wait("all are full"), Refused(Reason.OVERLOADED, "too late for it")])
def test_hands_on_what_else_a_policy_says(answer: Wait | Refused) -> None:
    deciding = Deciding(row("a"), policy=Scripted(lambda views: answer))
    assert deciding.dispatcher.dispatch(facts(), 0.0) is answer
    assert len(deciding.ledger) == 0


def test_without_a_candidate_the_policy_is_not_asked() -> None:
    deciding = Deciding(row("a"), policy=Scripted(lambda views: pytest.fail("asked")))
    outcome = refused(deciding.dispatcher.dispatch(facts(), 0.0, {"a"}))
    assert outcome.reason is Reason.NO_REPLICA_READY
    assert outcome.retry_after_s is not None
    assert 1.0 <= outcome.retry_after_s <= 2.0


DEFECTS: dict[str, Callable[[Sequence[View]], object]] = {
    "picks a replica that nobody knows": lambda views: view("stranger"),
    "picks a view of its own making": lambda views: replace(views[0], requests=5),
    "picks nothing": lambda views: None,
    "raises": lambda views: views[len(views)],
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_of_a_policy_ends_the_request_with_one_line_in_the_log(
    defect: str, caplog: pytest.LogCaptureFixture
) -> None:
    deciding = Deciding(row("a"), policy=Scripted(DEFECTS[defect]))
    with caplog.at_level(logging.ERROR):
        outcomes = [refused(deciding.dispatcher.dispatch(facts(), 0.0)) for _ in range(3)]
    assert {outcome.reason for outcome in outcomes} == {Reason.INTERNAL}
    assert "the policy Scripted" in outcomes[0].message
    assert len(caplog.records) == 1
    assert len(deciding.ledger) == 0


def test_a_policy_cannot_pick_what_was_excluded() -> None:
    deciding = Deciding(row("a"), row("b"))
    tried = deciding.fleet.views(facts())[0]
    deciding.dispatcher.policy = Scripted(lambda views: tried)
    assert refused(deciding.dispatcher.dispatch(facts(), 0.0, {"a"})).reason is Reason.INTERNAL


def test_a_policy_cannot_pick_another_models_replica() -> None:
    deciding = Deciding(row("a", models=frozenset(("x",))), row("b", models=frozenset(("y",))))
    other = deciding.fleet.views(facts("y"))[0]
    deciding.dispatcher.policy = Scripted(lambda views: other)
    assert refused(deciding.dispatcher.dispatch(facts("x"), 0.0)).reason is Reason.INTERNAL


def test_a_pushback_is_never_sooner_than_asked_and_spreads_those_refused_together() -> None:
    after_s = pushback(2.0, random.Random(1))
    drawn = [after_s() for _ in range(1_000)]
    assert min(drawn) >= 2.0
    assert max(drawn) <= 4.0
    assert sum(time_s < 3.0 for time_s in drawn) in range(400, 600)
