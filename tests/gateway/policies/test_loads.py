"""What each load weighs."""

import random
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.policies.least_work import LeastWork
from gateway.policies.lmetric import LMetric
from gateway.policies.peak_ewma import PeakEwma
from gateway.policies.power_of_two import PowerOfTwo
from gateway.policies.queue_depth import QueueDepth
from gateway.types import LoadReport, Pace, View
from gateway.view_list import ViewList
from tests.gateway.fleets import Cached, facts, view

REQUEST = facts(prompt_tokens=1_000)
PACE = Pace(first_token_s=2.0, observed_at=100.0, floor_s=0.1, token_s=1e-3, output_tokens=200.0, tokens_per_s=50.0)
RNG = random.Random(0)


def busy(requests: int = 0, prefill_tokens: int = 0, weight: float = 1.0, pace: Pace | None = None) -> View:
    return replace(view("a", requests, weight), prefill_tokens=prefill_tokens, pace=pace)


def test_work_is_what_is_to_be_read_and_what_is_to_be_written() -> None:
    policy = LeastWork(RNG, output_cost=2.0)
    assert policy.load(REQUEST, busy(3, 500), 0.0) == 1_500
    assert policy.load(REQUEST, busy(3, 500, pace=PACE), 0.0) == 1_500 + 3 * 200 * 2
    assert policy.load(REQUEST, busy(0, 500, weight=2.0), 0.0) == 750
    cached = replace(REQUEST, prefix=Cached(a=900))
    assert policy.load(cached, busy(0, 500), 0.0) == 600


def test_lmetric_is_the_product_of_tokens_and_batch() -> None:
    policy = LMetric(RNG)
    assert policy.load(REQUEST, busy(3, 500), 0.0) == 1_501 * 4
    assert policy.load(replace(REQUEST, prefix=Cached(a=999)), busy(3), 0.0) == 2 * 4
    assert policy.load(facts(), busy(3), 0.0) == 4


def test_peak_ewma_expects_what_was_lately_seen_for_each_in_flight() -> None:
    policy = PeakEwma(RNG, decay_s=10.0, floor_s=0.01)
    assert policy.load(REQUEST, busy(3, pace=PACE), 100.0) == pytest.approx(8.0)
    assert policy.load(REQUEST, busy(3, weight=2.0, pace=PACE), 100.0) == pytest.approx(4.0)


def test_peak_ewma_gives_one_that_was_slow_another_chance_and_does_not_take_its_queue_for_free() -> None:
    policy = PeakEwma(RNG, decay_s=10.0, floor_s=0.01)
    assert policy.load(REQUEST, busy(pace=PACE), 110.0) == pytest.approx(2.0 / 2.718, rel=0.01)
    assert policy.load(REQUEST, busy(9, pace=PACE), 10_000.0) == pytest.approx(0.1)
    assert policy.load(REQUEST, busy(pace=PACE), 100.0) == pytest.approx(2.0)


@given(st.lists(st.floats(0.0, 3_000.0), min_size=1, max_size=20))
def test_peak_ewma_is_the_same_whenever_it_was_asked_before(instants: list[float]) -> None:
    """What it keeps is on the scale of one instant, and begun anew long after it."""
    policy = PeakEwma(RNG, decay_s=10.0, floor_s=1e-9)
    shown = ViewList([busy(pace=replace(PACE, observed_at=0.0))])
    for now_s in instants:
        assert policy.loads(REQUEST, shown, now_s) == pytest.approx([max(2.0 * exp(-now_s / 10.0), 1e-9)])


def test_peak_ewma_asks_one_without_history_once() -> None:
    policy = PeakEwma(RNG)
    known, new = busy(5, pace=PACE), view("new")
    assert policy.pick(REQUEST, [known, new], 100.0) is new
    assert policy.pick(REQUEST, [known, replace(new, requests=1)], 100.0) is known


def test_queue_depth_counts_those_that_wait_and_then_those_in_flight() -> None:
    policy = QueueDepth(RNG)
    report = LoadReport(0.0, 8.0, 0.5, 0.0, 7, 12, received_at=100.0)
    idle, running = (replace(view(name, count), load=report) for name, count in (("a", 0), ("b", 8)))
    assert policy.pick(REQUEST, [running, idle], 100.0) is idle
    waiting = replace(idle, load=replace(report, queue_depth=1.0))
    assert policy.pick(REQUEST, [running, waiting], 100.0) is running
    unseen = replace(idle, unseen_requests=1)
    assert policy.pick(REQUEST, [running, unseen], 100.0) is running


def test_power_of_two_compares_by_the_load_that_it_is_given() -> None:
    few, short = busy(1, 9_000), view("b", 5)
    assert PowerOfTwo(RNG).pick(REQUEST, [few, short], 0.0) is few
    assert PowerOfTwo(RNG, LeastWork(RNG)).pick(REQUEST, [few, short], 0.0) is short


def test_power_of_two_leaves_the_busiest_alone_and_no_other() -> None:
    policy, views = PowerOfTwo(random.Random(0)), [view(str(number), number) for number in range(5)]
    picked = [policy.pick(REQUEST, views, 0.0).requests for _ in range(4_000)]
    shares = [picked.count(requests) / len(picked) for requests in range(5)]
    assert shares == pytest.approx([0.4, 0.3, 0.2, 0.1, 0.0], abs=0.03)
