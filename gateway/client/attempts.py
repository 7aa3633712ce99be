"""When a failed call is begun again. Pure: the clients do the waiting."""

import random
from collections.abc import Callable

from gateway.client.errors import InferenceError
from gateway.client.options import CallOptions

_FIRST_BACKOFF_S = 0.1
_LONGEST_BACKOFF_S = 5.0
_SPREAD = 0.25
"""Agents that failed together come back over this part of the wait that the server asked for."""


class Attempts:
    """The attempts at one call: what time each has, and whether another one makes sense."""

    def __init__(self, options: CallOptions, clock: Callable[[], float], rng: random.Random) -> None:
        timeout_s = options.get("timeout_s")
        self._clock = clock
        self._rng = rng
        self._deadline_at = None if timeout_s is None else clock() + timeout_s
        self._left = options.get("retries", 0)
        self._backoff_s = _FIRST_BACKOFF_S

    def timeout_s(self) -> float | None:
        """Return what is left of the call's time; None: no limit."""
        return None if self._deadline_at is None else max(0.0, self._deadline_at - self._clock())

    def wait_s(self, error: InferenceError) -> float:
        """Return how long to wait before the next attempt. Raises `error` where there is none: it would fail again,
        the retries are used up, or the time would be over before it begins."""
        if self._left == 0 or not error.retry_makes_sense:
            raise error
        wait_s = self._pause_s(error.retry_after_s)
        timeout_s = self.timeout_s()
        if timeout_s is not None and wait_s >= timeout_s:
            raise error
        self._left -= 1
        self._backoff_s = min(_LONGEST_BACKOFF_S, 2 * self._backoff_s)
        return wait_s

    def _pause_s(self, retry_after_s: float | None) -> float:
        if retry_after_s is not None:
            return retry_after_s * (1 + _SPREAD * self._rng.random())
        return self._backoff_s * (0.5 + 0.5 * self._rng.random())
