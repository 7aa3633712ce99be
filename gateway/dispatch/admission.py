"""Where requests wait for a replica: in order, bounded, without a task each."""

from collections.abc import Callable, Collection
from dataclasses import dataclass

from gateway.dispatch.dispatch import Dispatcher
from gateway.dispatch.parked import Key, Lines, Parked, key_of
from gateway.errors import Reason, Refused
from gateway.fleet.counters import LocalTally, Tally
from gateway.fleet.fleet import Fleet
from gateway.fleet.leases import Lease
from gateway.types import Facts, Wait

__all__ = ["Admission", "Parked", "Parking"]


@dataclass(frozen=True, slots=True)
class Parking:
    """How long a request may wait, and how many may."""

    time_s: float = 0.0
    """0: none waits, each is answered at once."""
    max_requests: int = 1024


class Admission:
    """Parks what cannot be dispatched, and dispatches it by priority, then arrival, once the fleet has changed.

    Leases and the fleet mark it dirty; `on_dirty` says so to the worker, which calls `run` in the same loop turn. Those
    of one model with the same replicas excluded form a line: while its first must wait all of it does, and no other.
    """

    def __init__(
        self,
        fleet: Fleet,
        dispatcher: Dispatcher,
        parking: Parking,
        on_dirty: Callable[[], None],
        on_waiting: Callable[[], None] = lambda: None,
        tally: Tally | None = None,
    ) -> None:
        """`on_waiting` is called when the first parks where none did. `tally` knows how many other workers have parked,
        which count against the bound."""
        self._dispatcher = dispatcher
        self.parking = parking
        self._on_dirty = on_dirty
        self._on_waiting = on_waiting
        self._tally = tally or LocalTally()
        self._lines = Lines()
        self._arrivals = 0
        self._is_dirty = False
        fleet.on_change(self.mark_dirty)

    @property
    def is_dirty(self) -> bool:
        """Whether `run` may find a replica for one that waits."""
        return self._is_dirty

    def mark_dirty(self) -> None:
        if self._lines and not self._is_dirty:
            self._is_dirty = True
            self._on_dirty()

    def admit(
        self, facts: Facts, now_s: float, excluded: Collection[str], granted: Callable[[Lease | Refused], None]
    ) -> Lease | Refused | Parked:
        """Dispatch it now, or park it where it must wait or others are before it.

        A parked one is told by `granted`, once, unless it leaves before by `cancel` or `expire`. Without parking time
        what would have to wait is refused.
        """
        if self._lines and self._is_behind(facts, excluded):
            return self._park(facts, now_s, excluded, granted, self._overloaded("others wait for the same replicas"))
        outcome, may_wait = self._dispatch(facts, now_s, excluded)
        if isinstance(outcome, Lease) or not may_wait:
            return outcome
        return self._park(facts, now_s, excluded, granted, outcome)

    def cancel(self, parked: Parked) -> None:
        """Let it leave, if it has not ended."""
        if not parked.is_over:
            self._leave(parked)
            self.mark_dirty()  # who was behind it may need less than it did

    def expire(self, parked: Parked) -> Refused:
        """Let it leave because its time is up, and return what to answer."""
        self.cancel(parked)
        return parked.refusal

    def run(self, now_s: float) -> None:
        """Dispatch from the first of all lines on; a line stops at its first that must wait."""
        self._is_dirty = False
        stopped: set[Key] = set()
        try:
            while (parked := self._lines.first(stopped)) is not None:
                outcome, may_wait = self._dispatch(parked.facts, now_s, parked.excluded)
                if may_wait:
                    stopped.add(parked.key)
                else:
                    self._leave(parked)
                    parked.granted(outcome)
        except BaseException:
            self.mark_dirty()  # a callback that fails ends its own request, not the turn of the others
            raise

    def _dispatch(self, facts: Facts, now_s: float, excluded: Collection[str]) -> tuple[Lease | Refused, bool]:
        """Return a lease or a refusal, and whether to wait instead of being refused."""
        outcome = self._dispatcher.dispatch(facts, now_s, excluded)
        if isinstance(outcome, Wait):
            return self._overloaded(outcome.reason), True
        # Where replicas are excluded none of the others is ready: to try an excluded one again beats to wait for them.
        is_none_ready = isinstance(outcome, Refused) and outcome.reason is Reason.NO_REPLICA_READY
        return outcome, is_none_ready and not excluded

    def _is_behind(self, facts: Facts, excluded: Collection[str]) -> bool:
        """Whether others come first: all who wait, while a `run` is due, since what is free may be theirs."""
        return self._is_dirty or self._lines.has_before(key_of(facts, excluded), facts.priority)

    def _park(
        self,
        facts: Facts,
        now_s: float,
        excluded: Collection[str],
        granted: Callable[[Lease | Refused], None],
        refusal: Refused,
    ) -> Refused | Parked:
        if not self.parking.time_s:
            return refusal
        waiting = len(self._lines) + self._tally.elsewhere()
        if waiting >= self.parking.max_requests:
            return self._overloaded(f"{waiting} requests wait already")
        self._arrivals += 1
        parked = Parked(facts, frozenset(excluded), granted, self._arrivals, now_s + self.parking.time_s, refusal)
        self._lines.push(parked)
        self._tally.set(len(self._lines))
        if len(self._lines) == 1:
            self._on_waiting()
        return parked

    def _leave(self, parked: Parked) -> None:
        self._lines.leave(parked)
        self._tally.set(len(self._lines))

    def _overloaded(self, why: str) -> Refused:
        return Refused(Reason.OVERLOADED, why, retry_after_s=self._dispatcher.pushback())

    def __len__(self) -> int:
        """Requests that wait."""
        return len(self._lines)

    def __repr__(self) -> str:
        return f"<Admission: {len(self)} of {self.parking.max_requests} parked{', dirty' if self._is_dirty else ''}>"
