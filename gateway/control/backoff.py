"""How long to wait before the next try."""

import random

_GROWTH = 1.6
"""gRPC's connection backoff."""


class Backoff:
    """Waits grow from `base_s` to `max_s`; each is `jitter` longer or shorter, at random."""

    def __init__(self, base_s: float, max_s: float, jitter: float, rng: random.Random) -> None:
        self._base_s = base_s
        self._max_s = max_s
        self._jitter = jitter
        self._rng = rng
        self._failures = 0

    def next_s(self) -> float:
        """Count one more failure and return the wait that follows it."""
        # The exponent is bounded: a float overflows after some 1,500 failures.
        wait_s = min(self._max_s, self._base_s * _GROWTH ** min(self._failures, 100))
        self._failures += 1
        return wait_s * self._rng.uniform(1 - self._jitter, 1 + self._jitter)

    def reset(self) -> None:
        self._failures = 0
