"""`least_connection`: the fewest requests in flight for its weight. Good where requests cost about the same."""

from gateway.policies.least import LeastLoad
from gateway.types import Facts, View

__all__ = ["LeastConnection"]


class LeastConnection(LeastLoad):
    def load(self, facts: Facts, view: View, now_s: float) -> float:
        return view.requests / view.weight
