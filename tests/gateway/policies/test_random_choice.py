import random
from collections import Counter

from gateway.policies.random_choice import RandomChoice
from tests.gateway.fleets import facts, view


def test_each_is_as_likely_however_busy() -> None:
    policy = RandomChoice(random.Random(0))
    views = [view("a"), view("b", 1_000), view("c", 5, weight=9.0)]
    picked = Counter(policy.pick(facts(), views, 0.0).id for _ in range(3_000))
    assert all(900 < picked[replica_id] < 1_100 for replica_id in ("a", "b", "c"))
