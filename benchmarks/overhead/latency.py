"""Latencies as histograms whose buckets grow by one percent, so that a run fits on one line and runs can be pooled."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

Histogram = Mapping[int, int]
"""How many, by bucket: bucket n holds what is nearest to 1.01**n microseconds."""

_STEP = math.log(1.01)


def histogram(latencies_ns: Iterable[int]) -> Histogram:
    # Below a microsecond everything is the same.
    return dict(Counter(round(math.log(max(1_000, ns) / 1_000) / _STEP) for ns in latencies_ns))


def pooled(histograms: Iterable[Histogram]) -> Histogram:
    total = Counter[int]()
    for one in histograms:
        total.update(one)
    return total


def quantile_us(histogram: Histogram, quantile: float) -> float:
    """Return the smallest latency that at least `quantile` of all do not exceed; nan where there are none."""
    left = quantile * sum(histogram.values())
    for bucket in sorted(histogram):
        left -= histogram[bucket]
        # Sums of floats miss a whole number by less than this.
        if left <= 1e-6:
            return math.exp(bucket * _STEP)
    return math.nan
