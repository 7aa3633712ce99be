"""`prefix_affinity`: the longest cached prefix among those that are not overloaded. Good where many requests share long
prefixes and fit the caches."""

import random
from collections.abc import Sequence

from gateway.policies.base import AtLeastOne
from gateway.policies.bounded import overloaded
from gateway.policies.columns import busyness, cached
from gateway.policies.least import place_of_least
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
        best, busy = self._best(facts, views), busyness(views)
        return views[best[place_of_least([busy[at] for at in best], self._rng)]]

    def narrow(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[View]:
        return [views[at] for at in self._best(facts, views)]

    def _best(self, facts: Facts, views: Sequence[View]) -> Sequence[int]:
        """Return places in `views`."""
        known = cached(facts, views)
        for at in overloaded(views, self._bound):
            known[at] = -1
        longest = max(known)
        return [at for at, tokens in enumerate(known) if tokens == longest]
