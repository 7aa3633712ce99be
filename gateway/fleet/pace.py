"""How fast one life of a replica answers, from leases that have seen their first token or their end."""

from math import exp
from typing import Final

from gateway.types import Pace, Usage

__all__ = ["PaceMeter"]

_DECAY_S: Final = 10.0
"""In which a better time to first token has mostly replaced a worse one (Finagle's and linkerd's default)."""
_KEPT: Final = 0.98
"""Of what was learnt of reading speed, at each new first token: some fifty of them count."""
_WEIGHT: Final = 0.05
"""Of each ended request in the means: some twenty of them count."""


class PaceMeter:
    """Means of the recent past, in constant time and memory."""

    __slots__ = (
        "_first_token_s",
        "_n",
        "_observed_at",
        "_output_tokens",
        "_pace",
        "_sums",
        "_tokens_per_s",
        "_x",
        "_y",
    )

    def __init__(self) -> None:
        self._n = 0.0
        self._x = self._y = 0.0
        self._sums = (0.0, 0.0)
        self._first_token_s = self._observed_at = 0.0
        self._output_tokens = self._tokens_per_s = 0.0
        self._pace: Pace | None = None

    def first_token(self, took_s: float, read_tokens: int, now_s: float) -> None:
        """A first token came `took_s` after its lease. `read_tokens` were to be read for it, with those ahead of it."""
        if took_s >= self._first_token_s:
            self._first_token_s = took_s
        else:
            kept = exp((self._observed_at - now_s) / _DECAY_S)
            self._first_token_s = kept * self._first_token_s + (1 - kept) * took_s
        self._observed_at = now_s
        xx, xy = self._sums
        self._n = _KEPT * self._n + 1
        self._x = _KEPT * self._x + read_tokens
        self._y = _KEPT * self._y + took_s
        self._sums = (_KEPT * xx + read_tokens * read_tokens, _KEPT * xy + read_tokens * took_s)
        self._pace = None

    def used(self, usage: Usage, took_s: float) -> None:
        """A request has ended, `took_s` after its lease."""
        weight = _WEIGHT if self._output_tokens else 1.0
        tokens = usage.prompt_tokens - usage.cached_tokens + usage.completion_tokens
        self._output_tokens += weight * (usage.completion_tokens - self._output_tokens)
        self._tokens_per_s += (_WEIGHT if self._tokens_per_s else 1.0) * (
            tokens / max(took_s, 1e-6) - self._tokens_per_s
        )
        self._pace = None

    def pace(self) -> Pace | None:
        """None until there was a first token."""
        if self._pace is None and self._n:
            floor_s, token_s = self._line()
            self._pace = Pace(
                self._first_token_s, self._observed_at, floor_s, token_s, self._output_tokens, self._tokens_per_s
            )
        return self._pace

    def _line(self) -> tuple[float, float]:
        """Return the least squares of time over tokens: what no tokens take, and each one. Neither is below 0."""
        xx, xy = self._sums
        variance = self._n * xx - self._x * self._x
        if variance <= 1e-6 * self._n * xx:
            # All prompts were alike: all of their time may have been reading.
            return (0.0, self._y / self._x) if self._x else (self._y / self._n, 0.0)
        token_s = max(0.0, (self._n * xy - self._x * self._y) / variance)
        floor_s = (self._y - token_s * self._x) / self._n
        return (floor_s, token_s) if floor_s >= 0 else (0.0, xy / xx)
