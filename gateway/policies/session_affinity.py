"""`session_affinity`: all requests of a session to one replica, the same from every gateway, unless it is overloaded.
Good where a session's next prompt begins with the last one; needs no state, and no prefix index."""

import random
from collections.abc import Sequence
from functools import lru_cache

from gateway.policies.base import AtLeastOne
from gateway.policies.bounded import crowds, overloaded
from gateway.policies.columns import busyness, ids, once, weights
from gateway.policies.lowest import place_of_least
from gateway.policies.rendezvous import Replicas, number
from gateway.types import Facts, View

__all__ = ["SessionAffinity"]

_MOST_REMEMBERED = 10_000


class SessionAffinity:
    """`bound` as in `prefix_affinity`: beyond it a session goes to the next replica in its own order (rendezvous
    hashing). Requests without a session go where the fewest are in flight."""

    left_out = "over its share of requests"

    def __init__(self, rng: random.Random, *, bound: AtLeastOne = 1.25) -> None:
        self._rng = rng
        self._bound = bound
        self._number = lru_cache(_MOST_REMEMBERED)(number)

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        if not facts.session_id:
            return views[place_of_least(busyness(views), self._rng)]
        order = once(views, self._replicas).heights(facts.session_id, weights(views))
        at = order.index(max(order))
        each, too_much = crowds(views, self._bound)
        if each[at] > too_much:
            free = [height if crowd <= too_much else 0.0 for height, crowd in zip(order, each, strict=True)]
            at = free.index(highest) if (highest := max(free)) else at
        return views[at]

    def narrow(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[View]:
        full = frozenset(overloaded(views, self._bound) if facts.session_id else ())
        return [view for at, view in enumerate(views) if at not in full]

    def _replicas(self, views: Sequence[View]) -> Replicas:
        return Replicas(map(self._number, ids(views)))
