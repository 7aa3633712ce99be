"""`least_work`: the fewest tokens to be read and written for its weight. Good where prompts differ much in length."""

import random

from gateway.policies.base import Positive
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

    def load(self, facts: Facts, view: View, now_s: float) -> float:
        tokens = view.prefill_tokens + facts.uncached_tokens(view)
        if view.pace is not None:
            tokens += view.requests * view.pace.output_tokens * self._output_cost
        return tokens / view.weight
