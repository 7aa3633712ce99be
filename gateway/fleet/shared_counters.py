"""In-flight counts of all workers, in memory that they share, without a lock.

Memory is cut into rows of 64-bit cells, one row for each worker and a last one for control. A row has one writer, its
process, and an aligned store of eight bytes is seen whole or not at all, on every machine that CPython runs on.

A row is: how many changes its writer has made; its other numbers (`Cell`); a ring with the slots of its last changes,
so that a reader need not look at all; what gateways in front have sent (`gateway.fleet.received`); for each slot
its four counts; and how many connections have ended (`gateway.fleet.presence`). A writer stores cells before it counts
the change. Where a processor shows stores in another order (Arm), a reader may look too soon: it looks again at what
it saw last (`is_ordered`).
"""

from collections.abc import Collection, Iterator
from enum import IntEnum
from typing import Final

from gateway.config import CONNECTIONS_MAX
from gateway.fleet.counters import InFlight
from gateway.types import ReplicaRecord

__all__ = [
    "GATEWAYS",
    "GATEWAYS_AT",
    "NETWORKS",
    "NETWORKS_AT",
    "SLOTS",
    "Cell",
    "Rows",
    "SharedCounters",
    "SharedTally",
    "size_bytes",
]

SLOTS: Final = 65_536
"""Lives of replicas that can be counted at a time. Memory that nobody touches costs nothing."""
RING: Final = 1_024
"""Changes that a reader may miss before it looks at everything."""
GATEWAYS: Final = 256
"""In front of this one, that a worker counts by: a cell with the name of each, then a cell with the count of each."""
NETWORKS: Final = 2 * CONNECTIONS_MAX
"""Of agents, by the numbers that control gives them (`gateway.control.peers`)."""

_CELL_BYTES: Final = 8
_REQUESTS: Final = 3
"""Each lease asks: a constant costs less than a member of `Cell`."""


class Cell(IntEnum):
    """What a worker says of itself (`gateway.fleet.presence`) and to the others, by its place in the row."""

    REQUEST_BYTES = 1
    """Held."""
    PARKED_REQUESTS = 2
    REQUESTS = _REQUESTS
    """In flight, in all slots."""
    FLEET_VERSION = 4
    """And 1: a row begins with 0."""
    BEATS = 5


_CHANGES: Final = 0
_RING_AT: Final = 8
GATEWAYS_AT: Final = _RING_AT + RING
_SLOTS_AT: Final = GATEWAYS_AT + 2 * GATEWAYS
# A slot's counts, in this order; requests in flight come first.
_PREFILL_TOKENS: Final = 1
_CONTEXT_TOKENS: Final = 2
_SENT_REQUESTS: Final = 3
_STRIDE: Final = 4
NETWORKS_AT: Final = _SLOTS_AT + SLOTS * _STRIDE
_ROW: Final = NETWORKS_AT + NETWORKS


def size_bytes(workers: int) -> int:
    """How much memory so many workers share."""
    return (workers + 1) * _ROW * _CELL_BYTES


class Rows:
    """The whole memory. The methods are for control."""

    def __init__(self, memory: memoryview, workers: int) -> None:
        """`memory` has `size_bytes(workers)` bytes, all 0 at first."""
        cells = memory.cast("q")
        rows = [cells[row * _ROW : (row + 1) * _ROW] for row in range(workers + 1)]
        self.all = rows
        self.workers = rows[:-1]
        self.control = rows[-1]
        self._begun = 0

    def is_idle(self, slot: int) -> bool:
        """Whether nothing is in flight in it, in any worker."""
        at = _SLOTS_AT + slot * _STRIDE
        return not any(any(row[at : at + _SENT_REQUESTS]) for row in self.workers)

    def begin(self, slot: int) -> None:
        """Let a new life be counted in an idle slot: what was sent to the last one does not count."""
        self._begun = max(self._begun, slot + 1)
        at = _SLOTS_AT + slot * _STRIDE + _SENT_REQUESTS
        self.control[at] = -sum(row[at] for row in self.workers)

    def bury(self, worker: int) -> None:
        """Take back what a dead worker had in flight and said of itself. What it has sent or ended stays."""
        row = self.workers[worker]
        for cell, value in enumerate(row[_SLOTS_AT : _SLOTS_AT + self._begun * _STRIDE].tolist()):
            if value and cell % _STRIDE != _SENT_REQUESTS:
                row[_SLOTS_AT + cell] = 0
        for cell in Cell:
            row[cell] = 0
        # More than a reader can have missed, so that each looks at everything.
        row[_CHANGES] += RING + 1


class SharedCounters:
    """The counters (`gateway.fleet.counters.Counters`) of one process among others. Slots are control's to give out."""

    def __init__(self, rows: Rows, worker: int, *, is_ordered: bool) -> None:
        """`worker` is its number; that of control, which only reads, comes after the last. `is_ordered`: the processor
        shows stores in the order in which they were made (x86)."""
        self._own = rows.all[worker]
        self._requests = self._own[_REQUESTS]
        self._others = [row for number, row in enumerate(rows.all) if number != worker]
        self._is_ordered = is_ordered
        # Of each other row: up to which change it has been read, and up to which that can be trusted.
        self._read_to = [row[_CHANGES] for row in self._others]
        self._trusted_to = list(self._read_to)
        # By slot: our cells, and the sums of all others' as they were when we last looked. Lists are quicker to read.
        self._here: dict[int, list[int]] = {}
        self._elsewhere: dict[int, tuple[int, int, int, int]] = {}

    def open(self, record: ReplicaRecord) -> int:
        slot = record.slot
        assert 0 <= slot < SLOTS, record
        at = _SLOTS_AT + slot * _STRIDE
        self._here[slot] = self._own[at : at + _STRIDE].tolist()
        self._elsewhere[slot] = self._sum_elsewhere(slot)
        return slot

    def close(self, slot: int) -> None:
        """Nothing to do: control finds out when nothing is in flight in it."""

    def add(self, slot: int, requests: int, prefill_tokens: int, context_tokens: int) -> None:
        own, here = self._own, self._here[slot]
        at = _SLOTS_AT + slot * _STRIDE
        if requests:
            own[at] = here[0] = here[0] + requests
            own[_REQUESTS] = self._requests = self._requests + requests
            if requests > 0:
                own[at + _SENT_REQUESTS] = here[3] = here[3] + requests
        if prefill_tokens:
            own[at + _PREFILL_TOKENS] = here[1] = here[1] + prefill_tokens
        if context_tokens:
            own[at + _CONTEXT_TOKENS] = here[2] = here[2] + context_tokens
        changes = own[_CHANGES]
        own[_RING_AT + changes % RING] = slot
        own[_CHANGES] = changes + 1

    def own(self) -> Iterator[tuple[int, InFlight]]:
        for slot in self._here:
            at = _SLOTS_AT + slot * _STRIDE
            yield slot, (self._own[at], self._own[at + _PREFILL_TOKENS], self._own[at + _CONTEXT_TOKENS])

    def total(self, slot: int) -> InFlight:
        here, elsewhere = self._here[slot], self._elsewhere[slot]
        return here[0] + elsewhere[0], here[1] + elsewhere[1], here[2] + elsewhere[2]

    def sent(self, slot: int) -> int:
        return self._here[slot][_SENT_REQUESTS] + self._elsewhere[slot][_SENT_REQUESTS]

    def changed_elsewhere(self) -> Collection[int]:
        changed: set[int] = set()
        for number, row in enumerate(self._others):
            begin, end = self._trusted_to[number], row[_CHANGES]
            if begin != end:
                self._trusted_to[number] = end if self._is_ordered else self._read_to[number]
                self._read_to[number] = end
                changed |= self._changed(row, begin, end)
        changed &= self._here.keys()
        for slot in changed:
            self._elsewhere[slot] = self._sum_elsewhere(slot)
        return changed

    def _changed(self, row: "memoryview[int]", begin: int, end: int) -> set[int]:
        if end - begin < RING:
            changed = {row[_RING_AT + change % RING] for change in range(begin, end)}
            # Else the writer has come round the ring meanwhile.
            if row[_CHANGES] - begin < RING:
                return changed
        return set(self._here)

    def _sum_elsewhere(self, slot: int) -> tuple[int, int, int, int]:
        at = _SLOTS_AT + slot * _STRIDE
        requests = prefill_tokens = context_tokens = sent_requests = 0
        for row in self._others:
            requests += row[at]
            prefill_tokens += row[at + _PREFILL_TOKENS]
            context_tokens += row[at + _CONTEXT_TOKENS]
            sent_requests += row[at + _SENT_REQUESTS]
        return requests, prefill_tokens, context_tokens, sent_requests

    def __repr__(self) -> str:
        return f"<SharedCounters of 1 + {len(self._others)} processes>"


class SharedTally:
    """How much of something all workers hold."""

    def __init__(self, rows: Rows, worker: int, cell: Cell) -> None:
        self._own = rows.workers[worker]
        self._others = [row for number, row in enumerate(rows.workers) if number != worker]
        self._cell = cell

    def set(self, value: int) -> None:
        """Say how much it is here."""
        self._own[self._cell] = value

    def elsewhere(self) -> int:
        """How much it is in the others."""
        return sum([row[self._cell] for row in self._others])
