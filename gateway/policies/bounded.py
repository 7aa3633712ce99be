"""Bounded load: affinity may not make a replica much busier than the rest (Mirrokni et al., arXiv 1608.01350)."""

from collections.abc import Sequence

from gateway.policies.columns import requests, weights
from gateway.types import View

__all__ = ["ALWAYS_FREE", "overloaded"]

ALWAYS_FREE = 4
"""Requests: a batch of so few takes hardly longer than one, and in a quiet fleet a fair share is less than one."""


def overloaded(views: Sequence[View], bound: float) -> Sequence[int]:
    """Return the places of those that with one request more would have over `bound` (at least 1) times their share of
    all requests, by weight, and over ALWAYS_FREE: none where all have."""
    counts, shares = requests(views), weights(views)
    if max(counts) < ALWAYS_FREE:
        return ()
    each = bound * (sum(counts) + 1) / sum(shares)
    full = [at for at, count in enumerate(counts) if count >= ALWAYS_FREE and count + 1 > each * shares[at]]
    return full if len(full) < len(views) else ()
