"""Any policy, but at home: it is shown the replicas of the gateway's own zone alone, while they have room."""

from collections.abc import Sequence

from gateway.config import ZoneSettings
from gateway.errors import Refused
from gateway.policies.base import Policy
from gateway.types import Facts, View, Wait

__all__ = ["ZoneAware"]


class ZoneAware:
    """Its own zone has room while it is not much busier, for its weight, than all the others together; so replicas that
    fail or are missing at home send requests elsewhere as soon as those that are left get busy."""

    left_out = "in another zone, and there is room at home"

    def __init__(self, policy: Policy, settings: ZoneSettings) -> None:
        self.inner = policy
        self._settings = settings

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View | Wait | Refused:
        return self.inner.pick(facts, self.narrow(facts, views, now_s), now_s)

    def narrow(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[View]:
        home = [view for view in views if view.zone == self._settings.name]
        if not home or len(home) == len(views):
            return views
        abroad = [view for view in views if view.zone != self._settings.name]
        room = max(self._settings.spill_requests, self._settings.spill_ratio * _busy(abroad))
        return home if _busy(home) < room else views


def _busy(views: Sequence[View]) -> float:
    """Requests for each unit of weight: those that we sent, or all that the replicas have where they tell."""
    return sum(map(_requests, views)) / sum(view.weight for view in views)


def _requests(view: View) -> float:
    load = view.load
    told = load.queue_depth + load.running_requests + view.unseen_requests if load else 0.0
    return max(view.requests, told)
