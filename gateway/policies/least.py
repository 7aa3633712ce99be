"""The picker of policies that compare all candidates by one number."""

import random
from collections.abc import Sequence
from math import isnan

from gateway.types import Facts, View

__all__ = ["LeastLoad", "place_of_least"]


def place_of_least(loads: Sequence[float], rng: random.Random, among: Sequence[int] | None = None) -> int:
    """Return where the least of `loads` stands, or the least of those at the places `among` them. Equals are drawn: the
    first of them would get all of a quiet fleet's requests, from every gateway that sees the same order."""
    if among is not None and len(among) < len(loads):
        return among[place_of_least([loads[at] for at in among], rng)]
    lowest = min(loads)
    if loads.count(lowest) == 1 or isnan(lowest):
        return loads.index(lowest)
    # At the worst half as many draws as there are loads, on average: what a list of the equals would cost.
    at = int(rng.random() * len(loads))
    while loads[at] != lowest:
        at = int(rng.random() * len(loads))
    return at


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
