"""Bounded load: affinity may not make a replica much busier than the rest (Mirrokni et al., arXiv 1608.01350)."""

from collections.abc import Sequence

from gateway.policies.columns import requests, weights
from gateway.types import View

__all__ = ["ALWAYS_FREE", "within_bound"]

ALWAYS_FREE = 4
"""Requests: a batch of so few takes hardly longer than one, and in a quiet fleet a fair share is less than one."""


def within_bound(views: Sequence[View], bound: float) -> Sequence[View]:
    """Return those that with one request more have at most `bound` (at least 1) times their share of all requests, by
    weight, or no more than ALWAYS_FREE: never none."""
    counts, shares = requests(views), weights(views)
    if max(counts) < ALWAYS_FREE:
        return views
    share = bound * (sum(counts) + 1) / sum(shares)
    rows = zip(views, counts, shares, strict=True)
    return [view for view, count, weight in rows if count < ALWAYS_FREE or count + 1 <= share * weight] or views
