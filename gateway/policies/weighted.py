"""`weighted`: each in turn, as often as its weight says. Good where requests are alike and replicas are not."""

import random
from collections.abc import Callable, Sequence
from operator import sub
from typing import Literal

from gateway.policies.lowest import place_of_least
from gateway.policies.remembered import Remembered
from gateway.policies.weights import reported, settled, throughput
from gateway.types import Facts, View

__all__ = ["Weighted"]

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
        self._taken: dict[str | None, Remembered] = {}

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        # Turns taken less turns due: whoever has the least is the most due.
        taken = self._taken.setdefault(facts.model, Remembered()).of(views)
        weights = self._weights(views, now_s)
        taken[:] = map(sub, taken, weights)
        at = place_of_least(taken, self._rng)
        taken[at] += sum(weights)
        return views[at]
