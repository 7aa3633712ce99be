"""`peak_ewma`: the least expected time to first token, by what was lately seen. Good where replicas differ or slow down
for reasons that no counter shows."""

import random
from collections.abc import Sequence
from functools import partial

from gateway.policies.base import Positive
from gateway.policies.columns import column
from gateway.policies.fading import faded, peak
from gateway.policies.least import LeastLoad
from gateway.types import Facts, View

__all__ = ["PeakEwma"]

_UNKNOWN_S = 1e6
"""Of one that has requests and has answered none: it gets no second one before it has (Finagle's penalty)."""
_SCALE = 64.0
"""How old a scale may get, in `decay_s`: what is seen then has 28 digits on it."""


class PeakEwma(LeastLoad):
    """The peak EWMA of the time to first token, for each request in flight and this one (Finagle's PeakEwma).

    What was seen fades with `decay_s`, or a replica that was slow once would never be asked again. It fades to
    `floor_s`, not to nothing, or any queue on a replica long unasked would look free (linkerd's MIN_DEFAULT_RTT).
    """

    def __init__(self, rng: random.Random, *, decay_s: Positive = 10.0, floor_s: Positive = 0.01) -> None:
        super().__init__(rng)
        self._decay_s = decay_s
        self._floor_s = floor_s
        self._begin_scale(0.0)

    def loads(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[float]:
        age = (now_s - self._scale_at) / self._decay_s
        if not 0 <= age < _SCALE:
            self._begin_scale(now_s)
            age = 0.0
        return faded(column(views, self._peak), age)

    def _begin_scale(self, at: float) -> None:
        self._scale_at = at
        self._peak = partial(self._peak_of, at)  # another function for each scale, since columns are kept by it

    def _peak_of(self, scale_at: float, view: View) -> tuple[float, float]:
        """Return the time to first token, for all that it counts by, on a scale; and what it fades to."""
        pace = view.pace
        if pace is None:
            return 0.0, view.requests / view.weight * _UNKNOWN_S
        age, count = (scale_at - pace.observed_at) / self._decay_s, (view.requests + 1) / view.weight
        return peak(pace.first_token_s, age) * count, self._floor_s * count
