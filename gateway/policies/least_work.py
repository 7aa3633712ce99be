"""`least_work`: the fewest tokens to be read and written for its weight. Good where prompts differ much in length."""

import random
from collections.abc import Sequence

from gateway.policies.base import Positive
from gateway.policies.columns import by_weight, column, total, uncached
from gateway.policies.least import LeastLoad
from gateway.types import Facts, View

__all__ = ["LeastWork"]


class LeastWork(LeastLoad):
    """Uncached prompt tokens that wait or are read, those of the request itself, and the output tokens to be expected
    of all in flight, by what such requests have lately written there.

    `output_cost`: prompt tokens that cost as much as one output token. Batched decoding makes it a few, not the
    hundreds that one sequence alone would pay.
    """

    def __init__(self, rng: random.Random, *, output_cost: Positive = 1.0) -> None:
        super().__init__(rng)
        self._output_cost = output_cost

    def loads(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[float]:
        return by_weight(total(column(views, self._ahead), uncached(facts, views)), views)

    def _ahead(self, view: View) -> float:
        to_write = view.requests * view.pace.output_tokens * self._output_cost if view.pace else 0.0
        return view.prefill_tokens + to_write
