"""`session_affinity`: all requests of a session to one replica, the same from every gateway, unless it is overloaded.
Good where a session's next prompt begins with the last one; needs no state, and no prefix index."""

import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import blake2b
from math import log

from gateway.policies.base import AtLeastOne
from gateway.policies.bounded import overloaded
from gateway.policies.columns import busyness, column, weights
from gateway.policies.least import least
from gateway.types import Facts, View

__all__ = ["SessionAffinity"]

_BITS = (1 << 30) - 1
"""CPython multiplies integers of up to 30 bits in one step. Of the product of an odd number and any other the low bits
are a universal hash of either (Dietzfelbinger et al., 1997), and in half the time of a remainder by a prime."""
_MOST_REMEMBERED = 10_000


class SessionAffinity:
    """Rendezvous hashing: each pair of session and replica has its own number, the highest wins, so that a replica that
    comes or goes moves its own sessions and no others. `bound` as in `prefix_affinity`: beyond it a session goes to its
    next replica. Requests without a session go where the fewest are in flight."""

    left_out = "over its share of requests"

    def __init__(self, rng: random.Random, *, bound: AtLeastOne = 1.25) -> None:
        self._rng = rng
        self._bound = bound
        remembered = lru_cache(_MOST_REMEMBERED)(_number)
        self._replica: Callable[[View], int] = lambda view: remembered(view.id)

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        if not facts.session_id:
            return least(views, busyness(views), self._rng)
        heights = self._heights(facts.session_id, views)
        for at in overloaded(views, self._bound):
            heights[at] = 0.0
        return views[heights.index(max(heights))]

    def narrow(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[View]:
        full = frozenset(overloaded(views, self._bound) if facts.session_id else ())
        return [view for at, view in enumerate(views) if at not in full]

    def _heights(self, session_id: str, views: Sequence[View]) -> list[float]:
        session, shares = _number(session_id) | 1, weights(views)
        draws: list[float] = [session * number & _BITS for number in column(views, self._replica)]
        if shares.count(shares[0]) == len(shares):
            return draws
        # Weighted rendezvous (Schindelhauer and Schomaker): the highest of -weight / log(uniform).
        return [-weight / log(draw / (_BITS + 1)) for weight, draw in zip(shares, draws, strict=True)]


def _number(name: str) -> int:
    """Return 1 to _BITS, the same in every process and version of Python."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") % _BITS + 1
