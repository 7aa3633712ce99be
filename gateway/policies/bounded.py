"""Bounded load: affinity may not make a replica much busier than the rest (Mirrokni et al., arXiv 1608.01350)."""

from collections.abc import Sequence

from gateway.policies.columns import column, requests, weights
from gateway.types import View

__all__ = ["ALWAYS_FREE", "overloaded"]

ALWAYS_FREE = 4
"""Requests: a batch of so few takes hardly longer than one, and in a quiet fleet a fair share is less than one."""


def overloaded(views: Sequence[View], bound: float) -> Sequence[int]:
    """Return the places of those that with one request more would have over `bound` (at least 1) times their share of
    all requests, by weight, and over ALWAYS_FREE: none where all have."""
    crowds = column(views, _crowd)
    share = bound * (sum(requests(views)) + 1) / sum(weights(views))
    if max(crowds) <= share:
        return ()
    full = [at for at, crowd in enumerate(crowds) if crowd > share]
    return full if len(full) < len(views) else ()


def _crowd(view: View) -> float:
    """Return what it would have for its weight with one request more; 0 where that is never too much."""
    return (view.requests + 1) / view.weight if view.requests >= ALWAYS_FREE else 0.0
