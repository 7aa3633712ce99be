"""`least_work`: the fewest tokens to be read and written for its weight. Good where prompts differ much in length."""

import random
from collections.abc import Sequence

from gateway.policies.base import Positive
from gateway.policies.columns import column, to_read, weights
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
        columns = to_read(facts, views), column(views, self._to_write), weights(views)
        return [(tokens + written) / weight for tokens, written, weight in zip(*columns, strict=True)]

    def _to_write(self, view: View) -> float:
        return view.requests * view.pace.output_tokens * self._output_cost if view.pace else 0.0
