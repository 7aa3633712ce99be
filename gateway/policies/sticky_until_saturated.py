"""`sticky_until_saturated`: those that have most of the prompt cached, and of them the one with the fewest tokens to
read, until all of them are saturated. Good for agents with long contexts on several replicas."""

import random
from collections.abc import Sequence
from itertools import repeat

from gateway.policies.base import Fraction, Positive
from gateway.policies.columns import ids, to_read, weights
from gateway.policies.least import LeastLoad, least
from gateway.types import Facts, View

__all__ = ["StickyUntilSaturated"]


class StickyUntilSaturated(LeastLoad):
    """`gate`: the part of the prompt that must be cached; matches are mostly close to all or to nothing, so its value
    matters little.
    `release_tokens`: when the best behind the gate has so many tokens more to read than the best of all, the latter
    gets the request: what a replica reads in the longest time that you would have an agent wait. The default is 14 s at
    20,480 tokens a second, a 32B model on two H100 (llm-d's constants)."""

    left_out = "too little of the prompt cached"

    def __init__(self, rng: random.Random, *, gate: Fraction = 0.8, release_tokens: Positive = 286_720.0) -> None:
        super().__init__(rng)
        self._gate = gate
        self._release_tokens = release_tokens

    def loads(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[float]:
        return [tokens / weight for tokens, weight in zip(to_read(facts, views), weights(views), strict=True)]

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        loads = self.loads(facts, views, now_s)
        sticky = self._sticky(facts, views, loads)
        if not sticky:
            return least(views, loads, self._rng)
        return least([views[at] for at in sticky], [loads[at] for at in sticky], self._rng)

    def narrow(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[View]:
        sticky = self._sticky(facts, views, self.loads(facts, views, now_s))
        return [views[at] for at in sticky] or views

    def _sticky(self, facts: Facts, views: Sequence[View], loads: Sequence[float]) -> Sequence[int]:
        """Return the places of those behind the gate; none where they are saturated."""
        needed = max(1.0, self._gate * facts.prompt_tokens)
        known = map(facts.cached().get, ids(views), repeat(0))
        sticky = [at for at, tokens in enumerate(known) if tokens >= needed]
        if sticky and min([loads[at] for at in sticky]) - min(loads) > self._release_tokens:
            return ()
        return sticky
