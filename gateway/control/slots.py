"""Which cells of the shared memory count which life of a replica: the same for all workers."""

from collections import deque
from collections.abc import Callable

from gateway.fleet.shared_counters import SLOTS, Rows
from gateway.types import ReplicaRecord, Snapshot


class Slots:
    """A slot is used again when every worker knows that its life is over, and nothing of it is in flight any more.

    `applied` returns the version of the fleet that every worker has reached."""

    def __init__(self, rows: Rows, applied: Callable[[], int]) -> None:
        self._rows = rows
        self._applied = applied
        self._of_life: dict[tuple[str, int], int] = {}
        self._retired: deque[tuple[int, int]] = deque()
        """Slots, and the first version of the fleet without the life that was counted in them."""
        self._never_used = 0

    def assign(self, snapshot: Snapshot) -> Snapshot:
        """Return it with a slot in each record. Versions must not fall from call to call."""
        lives = {(record.id, record.incarnation) for record in snapshot.replicas}
        for life in self._of_life.keys() - lives:
            self._retired.append((self._of_life.pop(life), snapshot.version))
        records = (record._replace(slot=self._slot(record)) for record in snapshot.replicas)
        return Snapshot(snapshot.version, tuple(records))

    def _slot(self, record: ReplicaRecord) -> int:
        life = record.id, record.incarnation
        if life not in self._of_life:
            self._of_life[life] = slot = self._take()
            self._rows.begin(slot)
        return self._of_life[life]

    def _take(self) -> int:
        applied = self._applied()
        for place, (slot, version) in enumerate(self._retired):
            if version <= applied and self._rows.is_idle(slot):
                del self._retired[place]
                return slot
        if self._never_used == SLOTS:
            # Counts of an old life that mix in are better than none.
            return self._retired.popleft()[0]
        self._never_used += 1
        return self._never_used - 1

    def __repr__(self) -> str:
        return f"<Slots: {len(self._of_life)} of {self._never_used} in use>"
