"""`lmetric`: the least product of prompt tokens to be read and requests in the batch. Good for agents and chats, whose
prompts share long prefixes; it has no constant to tune (arXiv 2603.15202)."""

from gateway.policies.least import LeastLoad
from gateway.types import Facts, View

__all__ = ["LMetric"]


class LMetric(LeastLoad):
    def load(self, facts: Facts, view: View, now_s: float) -> float:
        # Where nothing is to be read the batch alone decides, instead of a product of 0.
        tokens = view.prefill_tokens + facts.uncached_tokens(view) or 1
        return tokens * (view.requests + 1) / view.weight
