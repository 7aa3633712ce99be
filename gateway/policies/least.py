"""The picker of policies that compare all candidates by one number."""

import random
from collections.abc import Sequence

from gateway.policies.lowest import place_of_least
from gateway.types import Facts, View

__all__ = ["LeastLoad"]


class LeastLoad:
    """Picks the candidate with the least load, which is all that there is to add: define `load`, or `loads` where a
    thousand candidates should cost a third of it."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def load(self, facts: Facts, view: View, now_s: float) -> float:
        """As in LoadPolicy."""
        return self.loads(facts, [view], now_s)[0]

    def loads(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[float]:
        """Return the load of each."""
        return [self.load(facts, view, now_s) for view in views]

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        return views[place_of_least(self.loads(facts, views, now_s), self._rng)]
