"""Whether a gateway kept its promises while replicas came and went. Pure: instants of the wall clock in, words out."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from benchmarks.churn.script import Kind
from benchmarks.churn.timeline import Attempt, Timeline

SLACK_S = 1.0
"""So long after a replica was no longer ready a request may still be sent to it."""
_NOTICED_S = {Kind.FREEZE: 5.0}
"""A frozen process cannot say so: until then it counts as ready."""
_SILENT = frozenset((Kind.FREEZE, Kind.KILL))
"""Those that never said that they serve no more: panic may try them."""
_TAKES = frozenset(("ready", "probation"))
_IN_NEED = frozenset(("suspect", "ejected"))


class Out(NamedTuple):
    """What was done to a replica so that it should get nothing."""

    replica: str
    kind: Kind
    begin_at: float
    end_at: float = math.inf


class Failure(NamedTuple):
    """A stream that an agent saw end before its first token."""

    begun_at: float
    ended_at: float
    how: str


@dataclass
class Verdict:
    attempts: Counter[str] = field(default_factory=Counter[str])
    """By replica."""
    in_panic: Counter[str] = field(default_factory=Counter[str])
    """Those of them sent to suspect or ejected ones in panic."""
    excused: int = 0
    """Failures before the first token that no replica could have served."""
    wrong: list[str] = field(default_factory=list[str])


def judge(attempts: Iterable[Attempt], failures: Iterable[Failure], timeline: Timeline, outs: Sequence[Out]) -> Verdict:
    """Compare what was sent, and what failed, with who was ready."""
    verdict = Verdict()
    for attempt in attempts:
        verdict.attempts[attempt.replica] += 1
        if why := _why_not(attempt, timeline, outs):
            if timeline.is_panic(attempt.at - SLACK_S, attempt.at) and why.may_panic:
                verdict.in_panic[attempt.replica] += 1
            else:
                verdict.wrong.append(f"{_clock(attempt.at)} a request was sent to {attempt.replica}, {why.what}")
    for failure in failures:
        if fit := _fit(max(failure.begun_at, failure.ended_at - SLACK_S), failure.ended_at, timeline, outs):
            verdict.wrong.append(f"{_clock(failure.ended_at)} {failure.how}, while {', '.join(fit)} could serve")
        else:
            verdict.excused += 1
    return verdict


class _Why(NamedTuple):
    what: str
    may_panic: bool


def _why_not(attempt: Attempt, timeline: Timeline, outs: Sequence[Out]) -> _Why | None:
    """Return why the replica was not to get it: by what was done to it, or was known of it, before the slack."""
    for out in outs:
        since = out.begin_at + _NOTICED_S.get(out.kind, 0.0) + SLACK_S
        if out.replica == attempt.replica and since < attempt.at < out.end_at:
            return _Why(f"{out.kind.value} {attempt.at - out.begin_at:.1f} s before", out.kind in _SILENT)
    states = timeline.during(attempt.replica, attempt.at - SLACK_S, attempt.at)
    if states & _TAKES:
        return None
    return _Why(f"known as {' and '.join(sorted(states))}", bool(states & _IN_NEED))


def _fit(begin_at: float, end_at: float, timeline: Timeline, outs: Sequence[Out]) -> list[str]:
    """Return who was ready all the time, and left alone."""
    return [
        replica
        for replica in timeline.replicas
        if timeline.during(replica, begin_at, end_at) == {"ready"}
        and not any(out.replica == replica and out.begin_at < end_at and begin_at < out.end_at for out in outs)
    ]


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[11:23]
