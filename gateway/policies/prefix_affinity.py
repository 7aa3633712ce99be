"""`prefix_affinity`: the longest cached prefix among those that are not overloaded. Good where many requests share long
prefixes and fit the caches."""

import random
from collections.abc import Sequence

from gateway.policies.base import AtLeastOne
from gateway.policies.bounded import within_bound
from gateway.policies.columns import busyness, ids
from gateway.policies.least import least
from gateway.types import Facts, View

__all__ = ["PrefixAffinity"]


class PrefixAffinity:
    """`bound`: how many times its share of requests a replica may get for its cache. Affinity without a bound sends the
    whole of a popular prefix to one replica, until it fails."""

    left_out = "over its share of requests, or less of the prompt cached"

    def __init__(self, rng: random.Random, *, bound: AtLeastOne = 1.25) -> None:
        self._rng = rng
        self._bound = bound

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        best = self.narrow(facts, views, now_s)
        return least(best, busyness(best), self._rng)

    def narrow(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[View]:
        free = within_bound(views, self._bound)
        known = facts.cached()
        cached = [known.get(each, 0) for each in ids(free)] if known else [0]
        longest = max(cached)
        return free if not longest else [view for view, tokens in zip(free, cached, strict=True) if tokens == longest]
