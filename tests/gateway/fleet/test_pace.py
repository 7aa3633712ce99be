import random

import pytest

from gateway.fleet.pace import PaceMeter
from gateway.types import Pace, Usage


def pace(meter: PaceMeter) -> Pace:
    known = meter.pace()
    assert known is not None
    return known


def test_nothing_is_known_before_the_first_token() -> None:
    assert PaceMeter().pace() is None


def test_learns_what_a_token_to_be_read_costs_and_what_none_does() -> None:
    meter, rng = PaceMeter(), random.Random(1)
    for now_s in range(400):
        tokens = rng.randrange(20_000)
        meter.first_token(0.2 + tokens * 5e-5 + rng.uniform(-0.01, 0.01), tokens, now_s)
    assert pace(meter).token_s == pytest.approx(5e-5, rel=0.05)
    assert pace(meter).floor_s == pytest.approx(0.2, abs=0.02)


def test_follows_a_replica_that_slows_down() -> None:
    meter, rng = PaceMeter(), random.Random(1)
    for now_s in range(600):
        tokens = rng.randrange(20_000)
        meter.first_token(tokens * (5e-5 if now_s < 300 else 2e-4), tokens, now_s)
    assert pace(meter).token_s == pytest.approx(2e-4, rel=0.02)


@pytest.mark.parametrize(("tokens", "token_s", "floor_s"), [(1_000, 1e-3, 0.0), (0, 0.0, 1.0)])
def test_prompts_that_are_all_alike_take_all_of_their_time_for_reading(
    tokens: int, token_s: float, floor_s: float
) -> None:
    meter = PaceMeter()
    for now_s in range(10):
        meter.first_token(1.0, tokens, now_s)
    assert pace(meter).token_s == pytest.approx(token_s)
    assert pace(meter).floor_s == pytest.approx(floor_s)


def test_longer_prompts_that_were_quicker_make_no_time_negative() -> None:
    meter = PaceMeter()
    for now_s, (took_s, tokens) in enumerate([(3.0, 10), (2.0, 100), (1.0, 1_000)] * 5):
        meter.first_token(took_s, tokens, now_s)
    assert pace(meter).token_s >= 0
    assert pace(meter).floor_s >= 0


def test_a_worse_time_counts_at_once_and_better_ones_slowly() -> None:
    meter = PaceMeter()
    meter.first_token(1.0, 10, 0.0)
    meter.first_token(5.0, 10, 1.0)
    assert pace(meter).first_token_s == 5.0
    meter.first_token(1.0, 10, 2.0)
    assert 4.5 < pace(meter).first_token_s < 5.0
    meter.first_token(1.0, 10, 100.0)
    assert pace(meter).first_token_s == pytest.approx(1.0, abs=0.01)


def test_means_of_what_requests_cost() -> None:
    meter = PaceMeter()
    meter.first_token(0.5, 100, 0.0)
    for _ in range(200):
        meter.used(Usage(1_000, 900, 300), 2.0)
    assert pace(meter).output_tokens == pytest.approx(300)
    assert pace(meter).tokens_per_s == pytest.approx(200)
