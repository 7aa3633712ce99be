"""What the agents saw. Times are those of the agents' clock, in seconds."""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from statistics import quantiles


@dataclass(slots=True)
class Request:
    """One request of an agent, over all its attempts. An attempt that failed counts for nothing but `retries`."""

    begun_at: float
    retries: int = 0
    first_token_at: float = 0.0
    last_token_at: float = 0.0
    tokens: int = 0

    def received(self, tokens: int, now: float) -> None:
        if not tokens:
            return
        self.first_token_at = self.first_token_at or now
        self.last_token_at = now
        self.tokens += tokens

    def again(self) -> None:
        """What was received of the failed attempt is thrown away."""
        self.retries += 1
        self.first_token_at = self.last_token_at = 0.0
        self.tokens = 0

    @property
    def ttft_s(self) -> float:
        """As the agent sees it: failed attempts and waits included."""
        return self.first_token_at - self.begun_at

    @property
    def tpot_s(self) -> float:
        return (self.last_token_at - self.first_token_at) / max(1, self.tokens - 1)


class Activity(Enum):
    """What one agent does now."""

    WAITING = "not begun"
    STREAMING = "streaming"
    THINKING = "using tools"
    BEGINNING_AGAIN = "begins again"
    DONE = "done"


@dataclass(slots=True)
class Tally:
    """Of all requests."""

    planned: int
    activities: list[Activity]
    """Of each conversation."""
    done: list[Request] = field(default_factory=list[Request])
    failures: list[str] = field(default_factory=list[str])
    retries: int = 0
    tokens: int = 0
    """Received, those of failed attempts included."""

    @property
    def ended(self) -> int:
        return len(self.done) + len(self.failures)

    @property
    def useful_tokens(self) -> int:
        return sum(request.tokens for request in self.done)


def percentile(values: list[float], percent: int) -> float:
    """Return the value that `percent` of the values do not exceed; NaN without values."""
    if len(values) < 2:
        return values[0] if values else float("nan")
    return quantiles(values, n=100, method="inclusive")[percent - 1]


class Rate:
    """Something counted, as a rate over the last moments: since the oldest of the samples that are young enough."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._seen: deque[tuple[float, int]] = deque()

    def add(self, total: int, now: float) -> float:
        """Take the count so far and return its growth per second."""
        self._seen.append((now, total))
        while len(self._seen) > 2 and now - self._seen[0][0] > self._window_s:
            self._seen.popleft()
        then, before = self._seen[0]
        return (total - before) / (now - then) if now > then else 0.0
