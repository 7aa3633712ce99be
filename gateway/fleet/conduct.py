"""How one life of a replica behaves: failures in a row, silence, ejections. Instants are arguments."""

from math import inf

from gateway.channel.messages import OutcomeKind
from gateway.config import HealthSettings
from gateway.fleet.health import Event
from gateway.types import LoadReport, ReplicaState

__all__ = ["Conduct", "stall_budget_s"]


def stall_budget_s(settings: HealthSettings, prefill_tokens: int, load: LoadReport | None) -> float:
    """Return how long a replica may be silent that has these prompt tokens of ours to read, and those that it reports:
    they may be others'. Where they are the same the budget is too long, which costs less than one too short."""
    waiting_tokens = load.uncached_waiting_tokens if load else 0.0
    return settings.stall_s + settings.stall_per_token_s * (prefill_tokens + waiting_tokens)


class Conduct:
    """Says which event of the health table follows from what was seen. The owner applies it, or not, and tells of the
    state that came out by `entered`."""

    def __init__(self, settings: HealthSettings, now_s: float) -> None:
        self.settings = settings
        """May be replaced: what has happened stays, and is judged anew."""
        self._failures = 0
        self._ejections = 0
        self._ejected_at = -inf
        self._entered_at = now_s
        self._heard_at = -inf
        self._is_stalled = False
        self._slow_since: float | None = None

    def __repr__(self) -> str:
        return f"<Conduct: {self._failures} failures, {self._ejections} ejections>"

    def entered(self, before: ReplicaState, after: ReplicaState, cause: Event, now_s: float) -> None:
        """The state has changed."""
        self._entered_at = now_s
        self._is_stalled = cause is Event.PROGRESS_STALLED and after is ReplicaState.SUSPECT
        if after is ReplicaState.EJECTED:
            if now_s - self._ejected_at > self._ejection_s() + self.settings.ejection_max_s:
                self._ejections = 0
            self._ejections += 1
            self._ejected_at = now_s
            self._failures = 0
        elif after is ReplicaState.READY and (before is ReplicaState.PROBATION or self._slow_since is None):
            self._slow_since = now_s
            self._failures = 0

    def ended(self, kind: OutcomeKind, state: ReplicaState, now_s: float) -> Event | None:
        """An attempt has ended."""
        is_good = kind is OutcomeKind.ANSWERED
        self._failures = 0 if is_good else self._failures + 1
        progress = self.heard(now_s, state) if is_good else None
        if state is ReplicaState.PROBATION:
            # The one request, or one that was still running: both say how it does.
            return Event.PROBE_SUCCEEDED if is_good else Event.PROBE_FAILED
        if is_good:
            return progress
        return Event.FAILURES_EXCEEDED if self._failures >= self.settings.failures and state in _JUDGED else None

    def heard(self, at: float, state: ReplicaState) -> Event | None:
        """Something came from it at that instant, or its engine got on."""
        self._heard_at = max(self._heard_at, at)
        if self._heard_at <= self._entered_at:
            return None
        if state is ReplicaState.PROBATION:
            return Event.PROBE_SUCCEEDED
        return Event.PROGRESSED if state is ReplicaState.SUSPECT and self._is_stalled else None

    def waited(self, since: float, budget_s: float, state: ReplicaState, now_s: float) -> Event | None:
        """There is work on it since then, which should have brought something within the budget."""
        is_late = now_s - max(since, self._heard_at) > budget_s
        return Event.PROGRESS_STALLED if is_late and state in _EXPECTED else None

    def due(self, state: ReplicaState, now_s: float) -> Event | None:
        """What time alone brings. Not to be asked while the health connection is down."""
        age_s = now_s - self._entered_at
        if state is ReplicaState.EJECTED and age_s >= self._ejection_s():
            return Event.EJECTION_ENDED
        if state is ReplicaState.SUSPECT and self._is_stalled and age_s >= self.settings.suspect_s:
            return Event.PROBE_FAILED
        return None

    def slow_start(self, now_s: float) -> float:
        """Return what is its share of its own weight: it rises to 1 within the window after it became ready."""
        window_s = self.settings.slow_start_s
        if self._slow_since is None or window_s == 0:
            return 1.0
        return min(1.0, max(_LEAST_SHARE, (now_s - self._slow_since) / window_s))

    def _ejection_s(self) -> float:
        return min(self.settings.ejection_s * self._ejections, self.settings.ejection_max_s)


_JUDGED = (ReplicaState.READY, ReplicaState.SUSPECT)
_EXPECTED = (ReplicaState.READY, ReplicaState.PROBATION)
_LEAST_SHARE = 0.1
"""With no share at all nothing would show whether it is warm."""
