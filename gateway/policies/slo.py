"""`slo`: the least predicted time to first token, and nobody at all where that misses the target. Good where a late
answer is worth nothing, and an early refusal something."""

import random
from collections.abc import Sequence

from gateway.errors import Reason, Refused
from gateway.policies.base import Positive
from gateway.policies.columns import column, product, total, uncached
from gateway.policies.lowest import place_of_least
from gateway.types import Facts, View

__all__ = ["Slo"]


class Slo:
    """`target_s` holds for requests that name none (metadata `x-slo-ttft-ms`). `tokens_per_s` is how fast a replica is
    taken to read prompts before it has answered any."""

    def __init__(self, rng: random.Random, *, target_s: Positive = 10.0, tokens_per_s: Positive = 10_000.0) -> None:
        self._rng = rng
        self._target_s = target_s
        self._token_s = 1 / tokens_per_s

    def loads(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[float]:
        """The time until what is to be read has been: first come, first served, as engines schedule prompts."""
        reading_s = product(column(views, self._each), uncached(facts, views))
        return total(column(views, self._wait), reading_s)

    def _wait(self, view: View) -> float:
        """Return when it would begin to read."""
        return (view.pace.floor_s if view.pace else 0.0) + view.prefill_tokens * self._each(view)

    def _each(self, view: View) -> float:
        """Return what it takes to read a token."""
        return view.pace.token_s if view.pace else self._token_s / view.weight

    def load(self, facts: Facts, view: View, now_s: float) -> float:
        return self.loads(facts, [view], now_s)[0]

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View | Refused:
        loads = self.loads(facts, views, now_s)
        best = place_of_least(loads, self._rng)
        target_s = facts.first_token_target_s or self._target_s
        late_s = loads[best] - target_s
        if late_s <= 0:
            return views[best]
        return Refused(
            Reason.OVERLOADED, f"no replica would begin to answer within {target_s:g} s", retry_after_s=late_s
        )
