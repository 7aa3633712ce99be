"""What a gateway's log says of its replicas and of the requests that it sent them, by instants of the wall clock."""

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

_LINE = re.compile(r"at=(?P<at>\S+) level=\w+ logger=\S+ event=(?P<event>replica_state|attempt) (?P<fields>.*)")
_FIELD = re.compile(r"(replica|state)=(\S+)")
_USABLE = frozenset(("ready", "suspect", "ejected", "probation"))
_PANIC_SHARE = 0.5


class Change(NamedTuple):
    """The gateway has judged a replica anew."""

    at: float
    replica: str
    state: str


class Attempt(NamedTuple):
    """A worker has begun a stream on a replica."""

    at: float
    replica: str


def read(lines: Iterable[str]) -> Iterator[Change | Attempt]:
    """Yield what the log tells, in its order: lines of several processes, each with its own instants."""
    for line in lines:
        if match := _LINE.match(line):
            at = datetime.fromisoformat(match["at"]).timestamp()
            fields = dict(_FIELD.findall(match["fields"]))
            if match["event"] == "attempt":
                yield Attempt(at, fields["replica"])
            else:
                yield Change(at, fields["replica"], fields["state"])


class Timeline:
    """The states of all replicas over time. One of which nothing was said yet is starting."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self._instants: defaultdict[str, list[float]] = defaultdict(list)
        self._states: defaultdict[str, list[str]] = defaultdict(lambda: ["starting"])
        for change in sorted(changes):
            self._instants[change.replica].append(change.at)
            self._states[change.replica].append(change.state)

    @property
    def replicas(self) -> list[str]:
        return sorted(self._instants)

    def during(self, replica: str, begin_at: float, end_at: float) -> set[str]:
        """Return the states that it had at any instant from `begin_at` to `end_at`."""
        first, last = (bisect_right(self._instants[replica], at) for at in (begin_at, end_at))
        return set(self._states[replica][first : last + 1])

    def is_panic(self, begin_at: float, end_at: float) -> bool:
        """Whether at any instant less than half of the usable ones were ready."""
        within = {begin_at}.union(
            *([at for at in instants if begin_at <= at <= end_at] for instants in self._instants.values())
        )
        return any(map(self._is_panic_at, within))

    def _is_panic_at(self, at: float) -> bool:
        states = [self._states[replica][bisect_right(self._instants[replica], at)] for replica in self._instants]
        usable = [state for state in states if state in _USABLE]
        return usable.count("ready") < _PANIC_SHARE * len(usable)
