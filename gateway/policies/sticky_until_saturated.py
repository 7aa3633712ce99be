"""`sticky_until_saturated`: those that have most of the prompt cached, and of them the one with the fewest tokens to
read, until all of them are saturated. Good for agents with long contexts on several replicas."""

import random
from collections.abc import Sequence

from gateway.policies.base import Fraction, Positive
from gateway.policies.columns import by_weight, cached, prefill_tokens, total, uncached
from gateway.policies.least import LeastLoad
from gateway.policies.lowest import place_of_least
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
        return by_weight(total(prefill_tokens(views), uncached(facts, views)), views)

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        loads = self.loads(facts, views, now_s)
        return views[place_of_least(loads, self._rng, self._behind_gate(facts, views, loads))]

    def narrow(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[View]:
        behind = self._behind_gate(facts, views, self.loads(facts, views, now_s))
        return views if behind is None else [views[at] for at in behind]

    def _behind_gate(self, facts: Facts, views: Sequence[View], loads: Sequence[float]) -> Sequence[int] | None:
        """Return the places of those behind the gate. None: nobody or everybody is, or they are saturated."""
        needed = max(1.0, self._gate * facts.prompt_tokens)
        behind = next((group for group, tokens in cached(facts, views) if tokens >= needed), ())
        if not 0 < len(behind) < len(views):
            return None
        is_saturated = min([loads[at] for at in behind]) - min(loads) > self._release_tokens
        return None if is_saturated else behind
