import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.policies.least_connection import LeastConnection
from tests.gateway.fleets import facts, view

counts = st.integers(0, 20)
weights = st.sampled_from((0.5, 1.0, 2.0, 3.0))


@given(a=st.tuples(counts, weights), b=st.tuples(counts, weights), seed=st.integers(0, 3))
def test_never_keeps_the_busier_of_two(a: tuple[int, float], b: tuple[int, float], seed: int) -> None:
    views = [view("a", *a), view("b", *b)]
    kept = LeastConnection(random.Random(seed)).pick(facts(), views, 0.0)
    (other,) = set(views) - {kept}
    assert kept.requests / kept.weight <= other.requests / other.weight


def test_equals_get_the_same_share() -> None:
    policy = LeastConnection(random.Random(0))
    views = [view("a"), view("b"), view("busy", 1), view("c")]
    picked = Counter(policy.pick(facts(), views, 0.0).id for _ in range(3_000))
    assert picked["busy"] == 0
    assert all(900 < picked[replica_id] < 1_100 for replica_id in ("a", "b", "c"))


def test_requests_in_flight_follow_the_weights() -> None:
    policy = LeastConnection(random.Random(0))
    views = {replica_id: view(replica_id, 0, weight) for replica_id, weight in (("a", 1.0), ("b", 2.0), ("c", 3.0))}
    for _ in range(600):
        picked = policy.pick(facts(), list(views.values()), 0.0)
        views[picked.id] = replace(picked, requests=picked.requests + 1)
    assert [view.requests for view in views.values()] == [100, 200, 300]
