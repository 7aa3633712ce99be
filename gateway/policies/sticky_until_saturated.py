"""`sticky_until_saturated`: those that have most of the prompt cached, and of them the one with the fewest tokens to
read, until all of them are saturated. Good for agents with long contexts on several replicas."""

import random
from collections.abc import Sequence
from math import inf

from gateway.policies.base import Fraction, Positive
from gateway.policies.columns import by_weight, cached, prefill_tokens
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
        return self._to_read(facts, views, cached(facts, views))

    def _to_read(self, facts: Facts, views: Sequence[View], known: Sequence[int]) -> Sequence[float]:
        """Return the prompt tokens that wait, with the request's own that are not known, for each one's weight."""
        own, rows = facts.prompt_tokens, zip(prefill_tokens(views), known, strict=True)
        return by_weight([own + ahead - has for ahead, has in rows], views)

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        return least(views, self._behind_gate(facts, views, now_s), self._rng)

    def narrow(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[View]:
        loads = self._behind_gate(facts, views, now_s)
        return [view for view, load in zip(views, loads, strict=True) if load < inf]

    def _behind_gate(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[float]:
        """Return the loads of those behind the gate and inf for the others; all loads where they are saturated."""
        known = cached(facts, views)
        loads = self._to_read(facts, views, known)
        needed = max(1.0, self._gate * facts.prompt_tokens)
        if max(known) < needed or min(known) >= needed:
            return loads
        behind = [load if tokens >= needed else inf for load, tokens in zip(loads, known, strict=True)]
        return behind if min(behind) - min(loads) <= self._release_tokens else loads
