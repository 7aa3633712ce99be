"""Bounded load: affinity may not make a replica much busier than the rest (Mirrokni et al., arXiv 1608.01350)."""

from collections.abc import Sequence

from gateway.policies.columns import column, requests, weights
from gateway.types import View

__all__ = ["ALWAYS_FREE", "crowds", "overloaded"]

ALWAYS_FREE = 4
"""Requests: a batch of so few takes hardly longer than one, and in a quiet fleet a fair share is less than one."""


def crowds(views: Sequence[View], bound: float) -> tuple[Sequence[float], float]:
    """Return what each would have for its weight with one request more, 0 where that is never too much; and how much
    is too much: over `bound` (at least 1) times its share of all requests."""
    return column(views, _crowd), bound * (sum(requests(views)) + 1) / sum(weights(views))


def overloaded(views: Sequence[View], bound: float) -> Sequence[int]:
    """Return the places of those that have too much: none where all have."""
    each, too_much = crowds(views, bound)
    if max(each) <= too_much:
        return ()
    full = [at for at, crowd in enumerate(each) if crowd > too_much]
    return full if len(full) < len(views) else ()


def _crowd(view: View) -> float:
    return (view.requests + 1) / view.weight if view.requests >= ALWAYS_FREE else 0.0
