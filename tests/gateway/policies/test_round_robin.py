import random
from collections import Counter
from weakref import WeakSet

from hypothesis import given
from hypothesis import strategies as st

from gateway.policies.round_robin import RoundRobin
from tests.gateway.fleets import facts, view

IDS = "abcdef"


@given(st.lists(st.sets(st.sampled_from(IDS), min_size=1), max_size=60))
def test_nobody_waits_longer_than_all_others_take(sets: list[set[str]]) -> None:
    policy = RoundRobin(random.Random(0))
    passed_over = Counter[str]()
    for ids in sets:
        picked = policy.pick(facts(), [view(replica_id) for replica_id in sorted(ids)], 0.0).id
        passed_over.update(ids)
        passed_over[picked] = 0
        assert all(times < len(IDS) for times in passed_over.values())


def test_all_have_a_turn_before_anyone_has_another() -> None:
    policy = RoundRobin(random.Random(0))
    views = [view(replica_id) for replica_id in IDS]
    rounds = [[policy.pick(facts(), views, 0.0).id for _ in IDS] for _ in range(3)]
    assert sorted(rounds[0]) == list(IDS)
    assert rounds[0] == rounds[1] == rounds[2]


def test_a_newcomer_gets_one_turn_and_not_a_flood() -> None:
    policy = RoundRobin(random.Random(0))
    old = [view(replica_id) for replica_id in "abc"]
    for _ in range(30):
        policy.pick(facts(), old, 0.0)
    picked = [policy.pick(facts(), [*old, view("new")], 0.0).id for _ in range(4)]
    assert picked[0] == "new"
    assert sorted(picked) == ["a", "b", "c", "new"]


def test_models_take_turns_apart() -> None:
    policy = RoundRobin(random.Random(0))
    both, one = [view("a"), view("b")], [view("a")]
    picked = Counter[str]()
    for _ in range(50):
        policy.pick(facts("small"), one, 0.0)
        picked[policy.pick(facts("large"), both, 0.0).id] += 1
    assert picked == {"a": 25, "b": 25}


class Name(str):
    """A string that can be seen to be forgotten."""

    __slots__ = ("__weakref__",)


def test_forgets_replicas_that_are_long_gone() -> None:
    policy = RoundRobin(random.Random(0))
    remembered = WeakSet[Name]()
    for number in range(30_000):
        name = Name(f"pod-{number}")
        remembered.add(name)
        policy.pick(facts(), [view(name)], 0.0)
    assert len(remembered) <= 10_001
