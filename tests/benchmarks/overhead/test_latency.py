"""Histograms are as good as the samples, to one percent."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.overhead.latency import histogram, pooled, quantile_us

SAMPLES = st.lists(st.integers(1_000, 10**10), min_size=1, max_size=200)
QUANTILES = st.sampled_from([0.5, 0.99, 0.999, 1.0])


@given(SAMPLES, QUANTILES)
def test_a_quantile_is_that_of_the_samples(samples_ns: Sequence[int], quantile: float) -> None:
    exact_us = sorted(samples_ns)[math.ceil(quantile * len(samples_ns)) - 1] / 1e3
    assert quantile_us(histogram(samples_ns), quantile) == pytest.approx(exact_us, rel=0.01)


@given(SAMPLES, SAMPLES)
def test_pooled_histograms_are_the_histogram_of_all(first: Sequence[int], second: Sequence[int]) -> None:
    assert pooled([histogram(first), histogram(second)]) == histogram([*first, *second])


def test_nothing_has_no_quantile() -> None:
    assert math.isnan(quantile_us({}, 0.5))
