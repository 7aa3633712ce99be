"""One step without suspension: who may serve it, which of them, lease."""

import logging
import random
from collections.abc import Callable, Container, Mapping

from gateway.dispatch.explain import explain
from gateway.dispatch.shadow import Shadows
from gateway.errors import Reason, Refused
from gateway.fleet.fleet import Fleet
from gateway.fleet.leases import Lease, Ledger
from gateway.policies.base import Policy
from gateway.types import Explanation, Facts, View, Wait

__all__ = ["Dispatcher", "pushback"]

_log = logging.getLogger(__name__)


def pushback(retry_after_s: float, rng: random.Random) -> Callable[[], float]:
    """Return what says after how many seconds to try again: never sooner than `retry_after_s`, spread over as long
    again, so that those who were refused together do not come back together."""
    return lambda: retry_after_s * (1 + rng.random())


class Dispatcher:
    """Binds a request to a replica, or says why not."""

    def __init__(
        self,
        fleet: Fleet,
        ledger: Ledger,
        policy: Policy,
        pushback: Callable[[], float],
        by_route: Mapping[str, Policy] = {},
    ) -> None:
        self.policy = policy
        self.by_route = by_route
        """Policies of routes that have one of their own."""
        self.shadows: Shadows | None = None
        self._fleet = fleet
        self._ledger = ledger
        self.pushback = pushback
        self._defects: set[str] = set()

    def dispatch(self, facts: Facts, now_s: float, excluded: Container[str] = ()) -> Lease | Wait | Refused:
        """Lease a replica that is not in `excluded`. Refused as NO_REPLICA_READY where there is none to choose from."""
        self._fleet.look_elsewhere(now_s)
        if facts.explained is not None:
            facts.explained(self.explain(facts, now_s, excluded))
        candidates = self._fleet.candidates(facts)
        views = candidates.views(excluded)
        if not views:
            return self._fleet.refusal(facts, self.pushback())
        policy = self._policy_of(facts)
        try:
            choice = policy.pick(facts, views, now_s)
        except Exception as error:  # noqa: BLE001 (a policy is anybody's code: its defects end one request, not the worker)
            return self._defect(policy, f"raised {type(error).__name__}", error)
        if isinstance(choice, View) and choice in candidates and choice.id not in excluded:
            shadows = self.shadows
            expected_s = shadows.compare(facts, views, choice, now_s) if shadows and shadows.by_route else None
            lease = self._ledger.grant(choice, facts, self._fleet.address(choice.id), now_s)
            lease.expected_s = expected_s
            if facts.prefix is not None:
                facts.prefix.read(choice.id, choice.incarnation)
            return lease
        if isinstance(choice, Wait | Refused):
            return choice
        return self._defect(policy, "picked what is not a candidate", None)

    def explain(self, facts: Facts, now_s: float, excluded: Container[str] = ()) -> Explanation:
        """Return what `dispatch` would do now, and why. Nothing is leased, and no policy learns of it."""
        views = list(self._fleet.views(facts, excluded))
        others = [(view, "excluded: tried before") for view in self._fleet.views(facts) if view.id in excluded]
        others.extend(self._fleet.others(facts))
        explanation = explain(self._policy_of(facts), facts, views, others, now_s)
        return explanation if views else explanation._replace(reason=self._fleet.refusal(facts).message)

    def _policy_of(self, facts: Facts) -> Policy:
        return self.by_route.get(facts.route.name, self.policy)

    def _defect(self, policy: Policy, what: str, error: Exception | None) -> Refused:
        defect = f"the policy {type(policy).__name__} {what}"
        if defect not in self._defects:  # each kind once: with a broken policy every request would log
            self._defects.add(defect)
            _log.error("%s; logged once", defect, exc_info=error)
        return Refused(Reason.INTERNAL, defect)
