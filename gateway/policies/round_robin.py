"""`round_robin`: each in turn. Good where replicas and requests are all alike."""

import random
from collections.abc import Sequence

from gateway.policies.least import least
from gateway.types import Facts, View

__all__ = ["RoundRobin"]

_MOST_REMEMBERED = 10_000
"""Replica ids a model; where names change with each deployment they would grow for ever."""


class RoundRobin:
    """Picks who had its last turn longest ago, for each model apart.

    A cursor into the list would skip some and repeat others whenever the list changes, and those that come and go in
    step with it might never get a turn.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._turn = 0
        self._last_turns: dict[str | None, dict[str, int]] = {}

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        last_turns = self._last_turns.setdefault(facts.model, {})
        if len(last_turns) > _MOST_REMEMBERED:
            last_turns = {view.id: last_turns[view.id] for view in views if view.id in last_turns}
            self._last_turns[facts.model] = last_turns
        view = least(views, [last_turns.get(view.id, 0) for view in views], self._rng)
        self._turn += 1
        last_turns[view.id] = self._turn
        return view
