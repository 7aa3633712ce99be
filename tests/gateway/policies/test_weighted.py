import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.policies.weighted import Weighted
from gateway.types import LoadReport, Pace, View
from tests.gateway.fleets import facts, view

PACE = Pace(1.0, 0.0, 0.1, 1e-3, 100.0, 50.0)
REPORT = LoadReport(0.0, 1.0, 0.5, 0.0, 7, 9, received_at=100.0, utilization=0.5, requests_per_s=10.0)


@given(weights=st.lists(st.integers(1, 9), min_size=1, max_size=6), seed=st.integers(0, 9))
def test_in_each_round_everybody_gets_exactly_its_share(weights: list[int], seed: int) -> None:
    policy = Weighted(random.Random(seed))
    views = [view(str(number), weight=float(weight)) for number, weight in enumerate(weights)]
    for _ in range(3):
        picked = Counter(policy.pick(facts(), views, 0.0).id for _ in range(sum(weights)))
        assert [picked[each.id] for each in views] == weights


def test_turns_of_a_heavy_replica_are_spread() -> None:
    policy = Weighted(random.Random(0))
    views = [view("a", weight=5.0), view("b"), view("c")]
    picked = "".join(policy.pick(facts(), views, 0.0).id for _ in range(70))
    assert "aaaaa" not in picked  # two at the end of a round, two at the beginning of the next
    assert picked.count("a") == 50


def test_the_share_holds_while_others_come_and_go() -> None:
    policy, rng = Weighted(random.Random(0)), random.Random(1)
    steady, guest = [view("a"), view("b", weight=3.0)], view("guest", weight=2.0)
    picked = Counter(
        policy.pick(facts(), [*steady, guest] if rng.random() < 0.5 else steady, 0.0).id for _ in range(6_000)
    )
    assert picked["b"] == pytest.approx(3 * picked["a"], rel=0.02)
    assert picked["guest"] == pytest.approx(6_000 * 0.5 * 2 / 6, rel=0.05)


def shares(policy: Weighted, views: list[View], now_s: float = 100.0) -> list[float]:
    picked = Counter(policy.pick(facts(), views, now_s).id for _ in range(6_000))
    return [picked[each.id] / 6_000 for each in views]


def test_weights_come_from_the_measured_throughput() -> None:
    policy = Weighted(random.Random(0), weights="throughput")
    fast, slow, new = (
        replace(view("a"), pace=PACE),
        replace(view("b"), pace=replace(PACE, tokens_per_s=10.0)),
        view("c"),
    )
    assert shares(policy, [fast, slow]) == pytest.approx([5 / 6, 1 / 6], abs=0.01)
    assert shares(policy, [fast, slow, new]) == pytest.approx([50 / 90, 10 / 90, 30 / 90], abs=0.01)


def test_weights_come_from_the_replicas_own_report() -> None:
    policy = Weighted(random.Random(0), weights="report")
    half = replace(view("a"), load=REPORT)
    full = replace(view("b"), load=replace(REPORT, utilization=1.0))
    assert shares(policy, [half, full]) == pytest.approx([2 / 3, 1 / 3], abs=0.01)
    failing = replace(view("c"), load=replace(REPORT, errors_per_s=15.0))
    assert shares(policy, [half, failing]) == pytest.approx([4 / 5, 1 / 5], abs=0.01)
    assert shares(policy, [half, full], now_s=300.0) == pytest.approx([1 / 2, 1 / 2], abs=0.01)


def test_a_weight_of_the_settings_counts_beside_what_is_learnt() -> None:
    policy = Weighted(random.Random(0), weights="throughput")
    assert shares(policy, [view("a", weight=3.0), view("b")]) == pytest.approx([3 / 4, 1 / 4], abs=0.01)
