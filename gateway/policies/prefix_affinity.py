"""`prefix_affinity`: the longest cached prefix among those that are not overloaded. Good where many requests share long
prefixes and fit the caches."""

import random
from collections.abc import Sequence

from gateway.policies.base import AtLeastOne
from gateway.policies.bounded import overloaded
from gateway.policies.columns import busyness, cached
from gateway.policies.lowest import place_of_least
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
        return views[place_of_least(busyness(views), self._rng, self._with_most_cached(facts, views))]

    def narrow(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[View]:
        return [views[at] for at in self._with_most_cached(facts, views)]

    def _with_most_cached(self, facts: Facts, views: Sequence[View]) -> Sequence[int]:
        """Return the places of those that have the most of the prompt cached, of those that are not overloaded."""
        full = frozenset(overloaded(views, self._bound))
        groups = reversed([group for group, _ in cached(facts, views)])
        free = ([at for at in group if at not in full] if full else group for group in groups)
        return next(filter(None, free))
