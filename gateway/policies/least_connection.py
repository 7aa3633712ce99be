"""`least_connection`: the fewest requests in flight for its weight. Good where requests cost about the same."""

import random
from collections.abc import Sequence

from gateway.policies.least import least
from gateway.types import Facts, View

__all__ = ["LeastConnection"]


class LeastConnection:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        return least(views, [view.requests / view.weight for view in views], self._rng)
