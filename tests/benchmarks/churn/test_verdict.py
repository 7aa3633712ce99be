import pytest

from benchmarks.churn.script import Kind
from benchmarks.churn.timeline import Attempt, Change, Timeline
from benchmarks.churn.verdict import Failure, Out, judge

READY = [Change(1.0, name, "ready") for name in "abcde"]


def away(state: str, *names: str) -> Timeline:
    """All are ready from 1 s on; these are not, from 10 to 50 s."""
    changes = [change for name in names for change in (Change(10.0, name, state), Change(50.0, name, "ready"))]
    return Timeline([*READY, *changes])


@pytest.mark.parametrize(("at", "wrong"), [(9.9, 0), (10.9, 0), (11.1, 1), (49.9, 1), (50.1, 0)])
def test_for_a_second_a_request_may_still_go_to_one_that_is_no_longer_ready(at: float, wrong: int) -> None:
    verdict = judge([Attempt(at, "a")], [], away("ejected", "a"), [])
    assert len(verdict.wrong) == wrong
    assert verdict.attempts == {"a": 1}


@pytest.mark.parametrize(
    ("state", "in_panic"), [("suspect", 1), ("ejected", 1), ("draining", 0), ("starting", 0), ("gone", 0)]
)
def test_panic_excuses_only_what_panic_may_use(state: str, in_panic: int) -> None:
    timeline = away(state, "a", "b", "c")
    if state not in ("suspect", "ejected"):
        timeline = Timeline(
            [*READY, Change(10, "a", state), *(Change(10, name, "suspect") for name in "bcd"), Change(50, "b", "ready")]
        )
    verdict = judge([Attempt(20, "a")], [], timeline, [])
    assert verdict.in_panic.total() == in_panic
    assert len(verdict.wrong) == 1 - in_panic


@pytest.mark.parametrize(
    ("kind", "allowed_s"), [(Kind.RESTART, 1), (Kind.LEAVE, 1), (Kind.DRAIN, 1), (Kind.KILL, 1), (Kind.FREEZE, 6)]
)
def test_what_the_gateway_thinks_is_no_excuse_where_the_replica_is_known_to_be_out(kind: Kind, allowed_s: int) -> None:
    out = Out("a", kind, 10.0, 30.0)
    attempts = [Attempt(at, "a") for at in (9.9, 9.9 + allowed_s, 10.1 + allowed_s, 29.9, 30.1)]
    verdict = judge(attempts, [], Timeline(READY), [out])
    assert len(verdict.wrong) == 2
    assert all(kind.value in what for what in verdict.wrong)


def test_a_failure_before_the_first_token_is_excused_where_nobody_could_have_served() -> None:
    failures = [Failure(19.0, 20.0, "UNAVAILABLE: no")]
    others = [Out(name, Kind.KILL, 18.0) for name in "de"]
    timeline = away("suspect", "a", "b", "c")
    assert judge([], failures, timeline, others).excused == 1
    (wrong,) = judge([], failures, timeline, others[:1]).wrong
    assert "while e could serve" in wrong
    # Only a moment: it may have been too late for this one.
    assert judge([], [Failure(49.7, 50.2, "UNAVAILABLE: no")], timeline, others).excused == 1
