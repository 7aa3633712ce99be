"""`session_affinity`: all requests of a session to one replica, the same from every gateway, unless it is overloaded.
Good where a session's next prompt begins with the last one; needs no state, and no prefix index."""

import random
from collections.abc import Sequence
from hashlib import blake2b
from math import log

from gateway.policies.base import AtLeastOne
from gateway.policies.bounded import within_bound
from gateway.policies.columns import busyness, column, weights
from gateway.policies.least import least
from gateway.types import Facts, View

__all__ = ["SessionAffinity"]

_PRIME = 1_073_741_789
"""The largest below 2**30: CPython multiplies integers of up to 30 bits in one step."""
_MOST_REMEMBERED = 10_000


class SessionAffinity:
    """Rendezvous hashing: each pair of session and replica has its own number, the highest wins, so that a replica that
    comes or goes moves its own sessions and no others. `bound` as in `prefix_affinity`: beyond it a session goes to its
    next replica. Requests without a session go where the fewest are in flight."""

    left_out = "over its share of requests"

    def __init__(self, rng: random.Random, *, bound: AtLeastOne = 1.25) -> None:
        self._rng = rng
        self._bound = bound
        self._numbers: dict[str, int] = {}

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        if not facts.session_id:
            return least(views, busyness(views), self._rng)
        free = self.narrow(facts, views, now_s)
        session = _number(facts.session_id)
        draws = [session * number % _PRIME for number in column(free, self._replica)]
        if min(weights(free)) < max(weights(free)):
            # Weighted rendezvous (Schindelhauer and Schomaker): the highest of -weight / log(uniform).
            heights = [-weight / log(draw / _PRIME) for weight, draw in zip(weights(free), draws, strict=True)]
            return free[heights.index(max(heights))]
        return free[draws.index(max(draws))]

    def narrow(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[View]:
        return within_bound(views, self._bound) if facts.session_id else views

    def _replica(self, view: View) -> int:
        number = self._numbers.get(view.id)
        if number is None:
            if len(self._numbers) >= _MOST_REMEMBERED:
                self._numbers.clear()
            number = self._numbers[view.id] = _number(view.id)
        return number


def _number(name: str) -> int:
    """Return 1 to _PRIME - 1, the same in every process and version of Python."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "big") % (_PRIME - 1) + 1
