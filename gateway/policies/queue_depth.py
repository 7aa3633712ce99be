"""`queue_depth`: the fewest requests waiting, as the replica says, with what it has not seen yet. Good where others
send to the same replicas too; where nobody waits, those in flight decide."""

from collections.abc import Sequence
from math import inf

from gateway.policies.columns import column
from gateway.policies.least import LeastLoad
from gateway.policies.waiting import FRESH_S, waiting_requests
from gateway.types import Facts, View

__all__ = ["QueueDepth"]

_TIE = 1e-6
"""Of a waiting request: one in flight, so that it decides between equals and nothing else."""


class QueueDepth(LeastLoad):
    def loads(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[float]:
        loads, fresh_until = column(views, _while_fresh), column(views, _fresh_until)
        if now_s <= min(fresh_until):
            return loads
        rows = zip(views, loads, fresh_until, strict=True)
        return [load if now_s <= until else _load(view, now_s) for view, load, until in rows]


def _load(view: View, now_s: float) -> float:
    return (waiting_requests(view, now_s) + _TIE * view.requests) / view.weight


def _while_fresh(view: View) -> float:
    return _load(view, -inf)


def _fresh_until(view: View) -> float:
    return view.load.received_at + FRESH_S if view.load else inf
