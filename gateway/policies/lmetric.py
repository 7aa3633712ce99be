"""`lmetric`: the least product of prompt tokens to be read and requests in the batch. Good for agents and chats, whose
prompts share long prefixes; it has no constant to tune (arXiv 2603.15202)."""

from collections.abc import Sequence

from gateway.policies.columns import column, to_read
from gateway.policies.least import LeastLoad
from gateway.types import Facts, View

__all__ = ["LMetric"]


class LMetric(LeastLoad):
    def loads(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[float]:
        # Where nothing is to be read the batch alone decides, instead of a product of 0.
        columns = to_read(facts, views), column(views, _batch)
        return [(tokens or 1) * batch for tokens, batch in zip(*columns, strict=True)]


def _batch(view: View) -> float:
    return (view.requests + 1) / view.weight
