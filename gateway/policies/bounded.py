"""Bounded load: affinity may not make a replica much busier than the rest (Mirrokni et al., arXiv 1608.01350)."""

from collections.abc import Sequence

from gateway.types import View

__all__ = ["ALWAYS_FREE", "within_bound"]

ALWAYS_FREE = 4
"""Requests: a batch of so few takes hardly longer than one, and in a quiet fleet a fair share is less than one."""


def within_bound(views: Sequence[View], bound: float) -> Sequence[View]:
    """Return those that with one request more have at most `bound` (at least 1) times their share of all requests, by
    weight, or no more than ALWAYS_FREE: never none."""
    requests = sum([view.requests for view in views]) + 1
    share = bound * requests / sum([view.weight for view in views])
    return [view for view in views if view.requests < ALWAYS_FREE or view.requests + 1 <= share * view.weight] or views
