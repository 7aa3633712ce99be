"""`peak_ewma`: the least expected time to first token, by what was lately seen. Good where replicas differ or slow down
for reasons that no counter shows."""

import random
from collections.abc import Sequence

from gateway.policies.base import Positive
from gateway.policies.columns import column
from gateway.policies.fading import faded
from gateway.policies.least import LeastLoad
from gateway.types import Facts, View

__all__ = ["PeakEwma"]

_UNKNOWN_S = 1e6
"""Of one that has requests and has answered none: it gets no second one before it has (Finagle's penalty)."""


class PeakEwma(LeastLoad):
    """The peak EWMA of the time to first token, for each request in flight and this one (Finagle's PeakEwma).

    What was seen fades with `decay_s`, or a replica that was slow once would never be asked again. It fades to
    `floor_s`, not to nothing, or any queue on a replica long unasked would look free (linkerd's MIN_DEFAULT_RTT).
    """

    def __init__(self, rng: random.Random, *, decay_s: Positive = 10.0, floor_s: Positive = 0.01) -> None:
        super().__init__(rng)
        self._decay_s = decay_s
        self._floor_s = floor_s

    def loads(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[float]:
        return faded(column(views, self._seen), now_s / self._decay_s, self._floor_s)

    def _seen(self, view: View) -> tuple[float, float, float]:
        """Return the time to first token, when it was seen (in `decay_s`), and by how many it counts."""
        pace = view.pace
        if pace is None:
            return 0.0, 0.0, view.requests / view.weight * (_UNKNOWN_S / self._floor_s)
        return pace.first_token_s, pace.observed_at / self._decay_s, (view.requests + 1) / view.weight
