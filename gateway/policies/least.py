"""The picker of policies that compare all candidates by one number."""

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence

from gateway.types import Facts, View

__all__ = ["LeastLoad", "least"]


def least(views: Sequence[View], loads: Sequence[float], rng: random.Random) -> View:
    """Return the view with the least of `loads`. Equals are drawn: the first of them would get all of a quiet fleet's
    requests, from every gateway that sees the same order."""
    lowest = min(loads)
    if loads.count(lowest) == 1:
        return views[loads.index(lowest)]
    return rng.choice([view for view, load in zip(views, loads, strict=True) if load == lowest])


class LeastLoad(ABC):
    """Picks the candidate with the least `load`, which is all that there is to add."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    @abstractmethod
    def load(self, facts: Facts, view: View, now_s: float) -> float:
        """As in LoadPolicy."""

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        load = self.load
        return least(views, [load(facts, view, now_s) for view in views], self._rng)
