"""Requests that wait, in lines of those that need the same replicas: each by priority, then arrival."""

import heapq
from collections.abc import Callable, Collection, Container
from dataclasses import dataclass

from gateway.errors import Refused
from gateway.fleet.leases import Lease
from gateway.types import Facts

__all__ = ["Key", "Lines", "Parked", "key_of"]

Key = tuple[str, str | None, str, frozenset[str]]
"""What a line waits for: its route, model and adapter, and the replicas that will not do."""


def key_of(facts: Facts, excluded: Collection[str]) -> Key:
    return facts.route.name, facts.model, facts.lora_name, frozenset(excluded)


@dataclass(slots=True, eq=False)
class Parked:
    """A request that waits. It ends once: granted a lease, refused, cancelled or expired."""

    facts: Facts
    excluded: frozenset[str]
    granted: Callable[[Lease | Refused], None]
    arrival: int
    expires_at: float
    """When the exchange is to call `Admission.expire`; monotonic clock."""
    refusal: Refused
    """What it is answered then."""
    is_over: bool = False

    @property
    def key(self) -> Key:
        return key_of(self.facts, self.excluded)


class _Line:
    """A heap in which those that have left stay until they come up or are half of it, so that leaving costs O(1)."""

    __slots__ = ("_gone", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Parked]] = []
        self._gone = 0

    def push(self, parked: Parked) -> None:
        heapq.heappush(self._heap, (parked.facts.priority, parked.arrival, parked))

    def first(self) -> tuple[int, int, Parked]:
        while self._heap[0][2].is_over:
            heapq.heappop(self._heap)
            self._gone -= 1
        return self._heap[0]

    def one_left(self) -> bool:
        """Take notice that one in it is over; return whether any still waits."""
        self._gone += 1
        if self._gone * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if not entry[2].is_over]
            heapq.heapify(self._heap)
            self._gone = 0
        return bool(self._heap)


class Lines:
    """All lines. None is ever empty."""

    def __init__(self) -> None:
        self._lines: dict[Key, _Line] = {}
        self._count = 0

    def push(self, parked: Parked) -> None:
        self._lines.setdefault(parked.key, _Line()).push(parked)
        self._count += 1

    def leave(self, parked: Parked) -> None:
        parked.is_over = True
        self._count -= 1
        if not self._lines[parked.key].one_left():
            del self._lines[parked.key]

    def first(self, stopped: Container[Key] = ()) -> Parked | None:
        """Return who is next in all lines but those `stopped`."""
        firsts = [line.first() for key, line in self._lines.items() if key not in stopped]
        return min(firsts)[2] if firsts else None

    def has_before(self, key: Key, priority: int) -> bool:
        """Whether one in the line `key` goes before a newcomer of `priority`."""
        line = self._lines.get(key)
        return line is not None and line.first()[0] <= priority

    def __len__(self) -> int:
        return self._count
