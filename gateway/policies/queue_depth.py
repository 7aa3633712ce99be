"""`queue_depth`: the fewest requests waiting, as the replica says, with what it has not seen yet. Good where others
send to the same replicas too; where nobody waits, those in flight decide."""

from gateway.policies.least import LeastLoad
from gateway.policies.waiting import waiting_requests
from gateway.types import Facts, View

__all__ = ["QueueDepth"]

_TIE = 1e-6
"""Of a waiting request: one in flight, so that it decides between equals and nothing else."""


class QueueDepth(LeastLoad):
    def load(self, facts: Facts, view: View, now_s: float) -> float:
        return (waiting_requests(view, now_s) + _TIE * view.requests) / view.weight
