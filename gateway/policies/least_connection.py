"""`least_connection`: the fewest requests in flight for its weight. Good where requests cost about the same."""

from collections.abc import Sequence

from gateway.policies.columns import busyness
from gateway.policies.least import LeastLoad
from gateway.types import Facts, View

__all__ = ["LeastConnection"]


class LeastConnection(LeastLoad):
    def loads(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[float]:
        return busyness(views)
