"""`lmetric`: the least product of prompt tokens to be read and requests in the batch. Good for agents and chats, whose
prompts share long prefixes; it has no constant to tune (arXiv 2603.15202)."""

from collections.abc import Sequence

from gateway.policies.columns import cached, column, prefill_tokens
from gateway.policies.least import LeastLoad
from gateway.types import Facts, View

__all__ = ["LMetric"]


class LMetric(LeastLoad):
    def loads(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[float]:
        # Where nothing is to be read the batch alone decides, instead of a product of 0.
        own, columns = facts.prompt_tokens, (prefill_tokens(views), cached(facts, views), column(views, _batch))
        return [(own + ahead - known or 1) * batch for ahead, known, batch in zip(*columns, strict=True)]


def _batch(view: View) -> float:
    return (view.requests + 1) / view.weight
