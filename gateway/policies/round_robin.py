"""`round_robin`: each in turn. Good where replicas and requests are all alike."""

import random
from collections.abc import Sequence

from gateway.policies.lowest import place_of_least
from gateway.policies.remembered import Remembered
from gateway.types import Facts, View

__all__ = ["RoundRobin"]


class RoundRobin:
    """Picks who had its last turn longest ago, for each model apart.

    A cursor into the list would skip some and repeat others whenever the list changes, and those that come and go in
    step with it might never get a turn.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._turn = 0
        self._last_turns: dict[str | None, Remembered] = {}

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        last_turns = self._last_turns.setdefault(facts.model, Remembered()).of(views)
        at = place_of_least(last_turns, self._rng)
        self._turn += 1
        last_turns[at] = self._turn
        return views[at]
