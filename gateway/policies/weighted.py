"""`weighted`: each in turn, as often as its weight says. Good where requests are alike and replicas are not."""

import random
from collections.abc import Callable, Sequence
from typing import Literal

from gateway.policies.least import least
from gateway.policies.weights import reported, settled, throughput
from gateway.types import Facts, View

__all__ = ["Weighted"]

_MOST_REMEMBERED = 10_000
"""Replica ids a model, as in round_robin."""
_SOURCES: dict[str, Callable[[Sequence[View], float], Sequence[float]]] = {
    "settings": settled,
    "report": reported,
    "throughput": throughput,
}


class Weighted:
    """Smooth weighted round robin, as in nginx: whoever is most due gets the request, and turns of a heavy replica are
    spread over those of the others.

    `weights`: those of the settings; or, times those, by the replica's own report (requests a second at its
    utilization, gRFC A58) or by the tokens a second that it was measured to give one request.
    """

    def __init__(
        self, rng: random.Random, *, weights: Literal["settings", "report", "throughput"] = "settings"
    ) -> None:
        self._rng = rng
        self._weights = _SOURCES[weights]
        self._dues: dict[str | None, dict[str, float]] = {}

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        dues = self._dues.setdefault(facts.model, {})
        if len(dues) > _MOST_REMEMBERED:
            dues = self._dues[facts.model] = {view.id: dues[view.id] for view in views if view.id in dues}
        weights = self._weights(views, now_s)
        owed: list[float] = []
        for view, weight in zip(views, weights, strict=True):
            due = dues[view.id] = dues.get(view.id, 0.0) + weight
            owed.append(-due)
        picked = least(views, owed, self._rng)
        dues[picked.id] -= sum(weights)
        return picked
