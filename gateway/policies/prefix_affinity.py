"""`prefix_affinity`: the longest cached prefix among those that are not overloaded. Good where many requests share long
prefixes and fit the caches."""

import random
from collections.abc import Sequence
from math import inf

from gateway.policies.base import AtLeastOne
from gateway.policies.bounded import overloaded
from gateway.policies.columns import busyness, cached
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
        longest, known = self._known(facts, views)
        rows = zip(busyness(views), known, strict=True)
        return least(views, [load if tokens == longest else inf for load, tokens in rows], self._rng)

    def narrow(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[View]:
        longest, known = self._known(facts, views)
        return [view for view, tokens in zip(views, known, strict=True) if tokens == longest]

    def _known(self, facts: Facts, views: Sequence[View]) -> tuple[int, Sequence[int]]:
        """Return the most tokens that any has cached, and those of each: -1 of those that are overloaded."""
        known = cached(facts, views)
        for at in overloaded(views, self._bound):
            known[at] = -1
        return max(known), known
