"""Who may serve a request: an index from what it needs to the views of its candidates, kept between requests.

Building all views for each pick costs 0.4 us a replica. So a list is built when it is first asked for after the
candidates changed, and between such changes only the views of those replicas are replaced whose row or counts changed.
"""

from collections.abc import Container, Iterable, Sequence
from typing import Final

from gateway.fleet.counters import Counters
from gateway.fleet.replica import Replica, Wanted
from gateway.types import ReplicaState, View
from gateway.view_list import ViewList

__all__ = ["USABLE", "Candidates", "Views"]


USABLE: Final = frozenset((ReplicaState.READY, ReplicaState.SUSPECT, ReplicaState.EJECTED, ReplicaState.PROBATION))
"""In need. Those that start, drain or say NOT_SERVING must get nothing whatever the need."""


class Candidates:
    """The views of those that may serve alike requests, in the order of their ids."""

    __slots__ = ("_views", "is_panic")

    def __init__(self, views: Iterable[View], *, is_panic: bool = False) -> None:
        self.is_panic = is_panic
        """So few are ready that suspect and ejected ones are among them."""
        self._views = ViewList(sorted(views, key=lambda view: view.id))

    def views(self, excluded: Container[str] = ()) -> Sequence[View]:
        """Return those not `excluded`. To keep it, copy it: views in it are replaced."""
        return [view for view in self._views if view.id not in excluded] if excluded else self._views

    def __contains__(self, view: View) -> bool:
        """Whether it is the present view of a candidate: the object, not one like it."""
        place = self._views.columns.places.get(view.id)
        return place is not None and self._views[place] is view

    def __len__(self) -> int:
        return len(self._views)

    def replace(self, view: View) -> None:
        place = self._views.columns.places.get(view.id)
        if place is not None:
            self._views.columns.replace(place, view)


class Views:
    """The candidates for each model, adapter and route that was asked for."""

    def __init__(self, counters: Counters, panic_share: float = 0.5) -> None:
        self._counters = counters
        self.panic_share = panic_share
        self._candidates: dict[Wanted, Candidates] = {}
        self._stale: set[Replica] = set()

    def touch(self, replica: Replica) -> None:
        """Its row or its counts changed."""
        self._stale.add(replica)

    def forget(self) -> None:
        """Who is a candidate for what has changed."""
        self._candidates.clear()
        self._stale.clear()

    def of(self, wanted: Wanted, replicas: Iterable[Replica]) -> Candidates:
        """Return the candidates for `wanted` among `replicas`, which are read only where the answer is not at hand."""
        if self._stale:
            self._refresh()
        candidates = self._candidates.get(wanted)
        if candidates is None:
            candidates = self._choose([replica for replica in replicas if replica.serves(wanted)])
            if candidates:  # models that nobody serves are the agents' to invent, so they are not kept
                self._candidates[wanted] = candidates
        return candidates

    def in_panic(self) -> list[str]:
        """Return the models of which too few replicas are ready, as far as they were asked for."""
        return sorted({wanted.model or "" for wanted, candidates in self._candidates.items() if candidates.is_panic})

    def _choose(self, replicas: Sequence[Replica]) -> Candidates:
        """Those that are ready, and one on probation while nothing runs on it. Where too few are ready it is likelier
        that our judgement is wrong than that so many are bad, and the rest would not bear the load (Envoy's panic): all
        are used, without a bound for those on probation, since ejected ones have none."""
        usable = [replica for replica in replicas if replica.record.state in USABLE]
        healthy = sum(replica.is_healthy for replica in usable)
        is_panic = healthy < self.panic_share * len(usable)
        chosen = [replica for replica in usable if replica.is_reachable and self._may_take(replica, is_panic)]
        return Candidates([replica.view(self._counters) for replica in chosen], is_panic=is_panic)

    def _may_take(self, replica: Replica, is_panic: bool) -> bool:
        if is_panic or replica.is_healthy:
            return True
        return replica.is_on_probation and self._counters.total(replica.slot)[0] == 0

    def _refresh(self) -> None:
        for replica in self._stale:
            view = replica.view(self._counters)
            for candidates in self._candidates.values():
                candidates.replace(view)
        self._stale.clear()
