"""`lmetric`: the least product of prompt tokens to be read and requests in the batch. Good for agents and chats, whose
prompts share long prefixes; it has no constant to tune (arXiv 2603.15202)."""

from collections.abc import Sequence

from gateway.policies.least import LeastLoad
from gateway.types import Facts, View

__all__ = ["LMetric"]


class LMetric(LeastLoad):
    def loads(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[float]:
        # Where nothing is to be read the batch alone decides, instead of a product of 0.
        prompt_tokens, cached = facts.prompt_tokens, facts.cached().get
        return [
            (view.prefill_tokens + prompt_tokens - cached(view.id, 0) or 1) * (view.requests + 1) / view.weight
            for view in views
        ]
