"""`sticky_until_saturated`: those that have most of the prompt cached, and of them the one with the fewest tokens to
read, until all of them are saturated. Good for agents with long contexts on several replicas."""

import random
from collections.abc import Sequence

from gateway.policies.base import Fraction, Positive
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
        prompt_tokens, cached = facts.prompt_tokens, facts.cached().get
        return [(view.prefill_tokens + prompt_tokens - cached(view.id, 0)) / view.weight for view in views]

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
        cached = facts.cached().get
        sticky = [at for at, view in enumerate(views) if cached(view.id, 0) >= needed]
        if sticky and min([loads[at] for at in sticky]) - min(loads) > self._release_tokens:
            return ()
        return sticky
