"""The picker of policies that compare by one number."""

import random
from collections import Counter
from math import nan

import pytest

from gateway.policies.lowest import place_of_least


@pytest.mark.parametrize("equals", [2, 5, 60, 100])
def test_equals_are_drawn_each_as_often(equals: int) -> None:
    rng = random.Random(1)
    loads = [1.0] * equals + [2.0] * (100 - equals)
    rng.shuffle(loads)
    counts = Counter(place_of_least(loads, rng) for _ in range(200 * equals))
    assert set(counts) == {at for at, load in enumerate(loads) if load == 1.0}
    assert max(counts.values()) < 200 * 1.4
    assert min(counts.values()) > 200 / 1.4


def test_a_load_that_is_no_number_keeps_nobody_waiting() -> None:
    assert place_of_least([nan] * 3, random.Random(1)) == 0
