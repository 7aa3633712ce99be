"""`power_of_two`: the less busy of two drawn at random. Costs the same for any fleet, and gateways that know nothing of
each other do not all run to the same replica. `power_of_two:LOAD` compares by another policy's load."""

import random
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from gateway.policies.base import LoadPolicy, Policy
from gateway.policies.least_connection import LeastConnection
from gateway.policies.lowest import place_of_least
from gateway.types import Facts, View

__all__ = ["PowerOfTwo"]


class PowerOfTwo:
    """With `choices` more than two: the least busy of so many."""

    left_out = "not drawn"

    def __init__(
        self, rng: random.Random, inner: Policy | None = None, *, choices: Annotated[int, Meta(ge=2)] = 2
    ) -> None:
        compared = inner or LeastConnection(rng)
        if not isinstance(compared, LoadPolicy):
            raise ValueError(f"{type(compared).__name__} has no load to compare by")
        self._rng = rng
        self._choices = choices
        self.load = compared.load

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        drawn = self.narrow(facts, views, now_s)
        load = self.load
        return drawn[place_of_least([load(facts, view, now_s) for view in drawn], self._rng)]

    def narrow(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[View]:
        """Draw them: another call draws others."""
        return views if len(views) <= self._choices else self._rng.sample(views, self._choices)
