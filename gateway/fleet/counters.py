"""What is in flight, counted for each life of each replica."""

from collections.abc import Collection, Iterable
from typing import Protocol

from gateway.types import ReplicaRecord

__all__ = ["Counters", "InFlight", "LocalCounters", "LocalTally", "Tally"]

InFlight = tuple[int, int, int]
"""Requests, prefill tokens, context tokens: as in `View`."""


class Counters(Protocol):
    """One row for each worker, one column (slot) for each life of a replica.

    A worker writes its own row and reads sums over all rows. So rows of shared memory, each with a single writer, need
    no lock to stand behind this (`gateway.fleet.shared_counters`).
    """

    def open(self, record: ReplicaRecord) -> int:
        """Return the slot of this life, the same in every worker and for as long as anything is in flight in it."""
        ...

    def close(self, slot: int) -> None:
        """Give the slot up once nothing is in flight in it."""
        ...

    def add(self, slot: int, requests: int, prefill_tokens: int, context_tokens: int) -> None:
        """Add to this worker's row."""
        ...

    def own(self) -> Iterable[tuple[int, InFlight]]:
        """This worker's row, by slot."""
        ...

    def total(self, slot: int) -> InFlight:
        """The sum over all workers."""
        ...

    def sent(self, slot: int) -> int:
        """Requests ever counted in this life, over all workers: the sum of what `add` was given above 0."""
        ...

    def changed_elsewhere(self) -> Collection[int]:
        """Slots that other workers have written since this was last asked."""
        ...


class LocalCounters:
    """Counters of one process alone: a simulator, a test. It finds the slots itself."""

    def __init__(self) -> None:
        self._slots: dict[tuple[str, int], int] = {}
        self._lives: dict[int, tuple[str, int]] = {}
        self._rows: list[list[int]] = []
        self._sent: list[int] = []
        self._closing: set[int] = set()
        self._free: list[int] = []

    def open(self, record: ReplicaRecord) -> int:
        life = (record.id, record.incarnation)
        slot = self._slots.get(life)
        if slot is None:
            slot = self._slots[life] = self._take()
            self._lives[slot] = life
        self._closing.discard(slot)
        return slot

    def close(self, slot: int) -> None:
        self._closing.add(slot)
        self._free_if_idle(slot)

    def add(self, slot: int, requests: int, prefill_tokens: int, context_tokens: int) -> None:
        row = self._rows[slot]
        row[0] += requests
        row[1] += prefill_tokens
        row[2] += context_tokens
        if requests > 0:
            self._sent[slot] += requests
        if slot in self._closing:
            self._free_if_idle(slot)

    def own(self) -> Iterable[tuple[int, InFlight]]:
        return ((slot, self.total(slot)) for slot in range(len(self._rows)))

    def total(self, slot: int) -> InFlight:
        requests, prefill_tokens, context_tokens = self._rows[slot]
        return requests, prefill_tokens, context_tokens

    def sent(self, slot: int) -> int:
        return self._sent[slot]

    def changed_elsewhere(self) -> Collection[int]:
        return ()

    def _take(self) -> int:
        if self._free:
            slot = self._free.pop()
            self._sent[slot] = 0
            return slot
        self._rows.append([0, 0, 0])
        self._sent.append(0)
        return len(self._rows) - 1

    def _free_if_idle(self, slot: int) -> None:
        if not any(self._rows[slot]):
            self._closing.remove(slot)
            del self._slots[self._lives.pop(slot)]
            self._free.append(slot)


class Tally(Protocol):
    """How much of something all workers hold."""

    def set(self, value: int) -> None:
        """Say how much it is here."""
        ...

    def elsewhere(self) -> int:
        """How much it is in the others."""
        ...


class LocalTally:
    """Where there are no others."""

    def set(self, value: int) -> None: ...

    def elsewhere(self) -> int:
        return 0
