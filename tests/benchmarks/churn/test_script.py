import random
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.churn.script import KEEP, Kind, acts, swap_every_s
from gateway.policies import POLICIES


def test_the_same_seed_gives_the_same_script_and_another_one_another() -> None:
    first, again, other = (acts(60, 5, random.Random(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


@given(st.integers(), st.floats(30, 600), st.integers(KEEP + 1, 8))
def test_every_episode_ends_within_the_run_and_some_replicas_are_always_left_alone(
    seed: int, seconds: float, replicas: int
) -> None:
    away: dict[int, Kind] = {}
    at_s = 0.0
    for act in acts(seconds, replicas, random.Random(seed)):
        assert at_s <= act.at_s < seconds
        at_s = act.at_s
        if act.is_end:
            assert away.pop(act.replica) is act.kind
        else:
            assert away.setdefault(act.replica, act.kind) is act.kind
            assert len(away) <= replicas - KEEP
    assert away == {}


def test_a_minute_is_enough_for_every_kind_and_for_panic() -> None:
    for seed in range(50):
        script = acts(60, 5, random.Random(seed))
        assert {act.kind for act in script} == set(Kind)
        away = accumulate(-1 if act.is_end else 1 for act in script)
        assert max(away) == 5 - KEEP


def test_policies_take_turns_each_minute_and_all_have_one_in_a_short_run() -> None:
    names = list(POLICIES)
    assert swap_every_s(3_600, names) == 60
    assert swap_every_s(65, names) * len(names) == 65
