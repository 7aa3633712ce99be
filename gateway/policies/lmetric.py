"""`lmetric`: the least product of prompt tokens to be read and requests in the batch. Good for agents and chats, whose
prompts share long prefixes; it has no constant to tune (arXiv 2603.15202)."""

from collections.abc import Sequence

from gateway.policies.columns import column, product, total, uncached
from gateway.policies.least import LeastLoad
from gateway.types import Facts, View

__all__ = ["LMetric"]


class LMetric(LeastLoad):
    def loads(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[float]:
        return product(total(column(views, _ahead), uncached(facts, views)), column(views, _batch))


def _ahead(view: View) -> float:
    """Return the tokens that wait, and one: where nothing is to be read the batch decides, and no product of 0."""
    return view.prefill_tokens + 1


def _batch(view: View) -> float:
    return (view.requests + 1) / view.weight
