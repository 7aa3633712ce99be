"""A worker's copy of the fleet."""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import Reason, Refused
from gateway.fleet.counters import Counters
from gateway.fleet.replica import Replica, Wanted
from gateway.fleet.views import USABLE, Candidates, Views
from gateway.types import Facts, Labels, LoadReport, ReplicaRecord, ReplicaState, Snapshot, Usage, View

__all__ = ["Fleet", "FleetChange"]

LOOK_INTERVAL_S: Final = 0.005
"""How old other workers' counts may be in views. A look costs about as much as a pick, so that busy workers share it
among many; the few requests that others dispatch meanwhile are spread as ours are."""

_NOBODY: Final = Candidates(())


_DOUBTFUL: Final = (ReplicaState.SUSPECT, ReplicaState.EJECTED)


def _ids() -> list[str]:
    return []


@dataclass(slots=True)
class FleetChange:
    """What a snapshot changed: ids, each in one of the first four lists at most."""

    added: list[str] = field(default_factory=_ids)
    changed: list[str] = field(default_factory=_ids)
    restarted: list[str] = field(default_factory=_ids)
    """Another incarnation answers, or the same at another address: connections to the old one are of no use."""
    removed: list[str] = field(default_factory=_ids)
    doubtful: list[str] = field(default_factory=_ids)
    """Of those changed: it was of use, and is now suspect or ejected."""


class Fleet:
    """Applies what control says of replicas, and knows who may get a request now."""

    def __init__(self, counters: Counters, panic_share: float = 0.5) -> None:
        """With less than `panic_share` of a model's replicas ready, others are used as well (config.HealthSettings)."""
        self._counters = counters
        self._views = Views(counters, panic_share)
        self._replicas: dict[str, Replica] = {}
        self._by_slot: dict[int, Replica] = {}
        self._models: dict[Labels, frozenset[str]] = {}
        self._version = -1
        self._looked_at = -LOOK_INTERVAL_S
        self._notify: Callable[[], None] = lambda: None

    @property
    def panic_share(self) -> float:
        return self._views.panic_share

    @panic_share.setter
    def panic_share(self, share: float) -> None:
        self._views.panic_share = share
        self._forget()

    def on_change(self, notify: Callable[[], None]) -> None:
        """Call `notify` whenever a request that had to wait may be worth another try."""
        self._notify = notify

    def apply(self, snapshot: Snapshot) -> FleetChange:
        """Take a snapshot over. One not newer than the last is ignored; replicas that are GONE count as absent."""
        change = FleetChange()
        if snapshot.version <= self._version:
            return change
        self._version = snapshot.version
        rows = {row.id: row for row in snapshot.replicas if row.state != ReplicaState.GONE}
        for replica_id in self._replicas.keys() - rows.keys():
            self._remove(replica_id)
            change.removed.append(replica_id)
        for row in rows.values():
            self._apply_row(row, change)
        self._notify()
        return change

    @property
    def version(self) -> int:
        """Of the last snapshot taken over; below 0: none was."""
        return self._version

    def look_elsewhere(self, now_s: float) -> None:
        """Take notice of what other workers have counted, at most once in `LOOK_INTERVAL_S`."""
        if now_s - self._looked_at < LOOK_INTERVAL_S:
            return
        self._looked_at = now_s
        changed = self._counters.changed_elsewhere()
        for slot in changed:
            self.counted(slot, is_freed=False)
        if changed:
            self._notify()

    def set_reachable(self, replica_id: str, is_reachable: bool) -> None:
        """Say whether this worker's own connection is up or untried; unknown replicas are ignored."""
        replica = self._replicas.get(replica_id)
        if replica is not None and replica.is_reachable != is_reachable:
            replica.is_reachable = is_reachable
            self._forget()
            self._notify()

    def reported(self, replica_id: str, incarnation: int, load: LoadReport) -> None:
        """Take a load report over, unless a newer one is known; one of another incarnation is ignored."""
        replica = self._replicas.get(replica_id)
        if replica is None or replica.record.incarnation != incarnation:
            return
        if replica.reported(load, self._counters):
            self._views.touch(replica)
            self._notify()

    def record(self, replica_id: str) -> ReplicaRecord | None:
        replica = self._replicas.get(replica_id)
        return replica.record if replica else None

    def address(self, replica_id: str) -> str:
        """Return where a known replica listens, HOST:PORT."""
        return self._replicas[replica_id].record.address

    def views(self, facts: Facts, excluded: Container[str] = ()) -> Sequence[View]:
        """Return the candidates' views. To keep it, copy it: views in it are replaced."""
        return self.candidates(facts).views(excluded)

    def candidates(self, facts: Facts) -> Candidates:
        """Return who may serve it: ready, reachable, of its route, model and adapter."""
        wanted = self._wanted(facts)
        return _NOBODY if wanted is None else self._views.of(wanted, self._replicas.values())

    def in_use(self) -> Sequence[View]:
        """Return the views of all that are ready, or where none is of all that panic uses: whatever they serve, and
        whether or not this process has connections to them."""
        usable = [replica for replica in self._replicas.values() if replica.record.state in USABLE]
        ready = [replica for replica in usable if replica.record.state == ReplicaState.READY]
        return [replica.view(self._counters) for replica in ready or usable]

    def others(self, facts: Facts) -> Sequence[tuple[View, str]]:
        """Return all that are no candidates, each with the reason."""
        wanted = self._wanted(facts)
        candidates = {view.id for view in self.candidates(facts).views()}
        return [
            (
                replica.view(self._counters),
                "the request names none of several models" if wanted is None else replica.why_not(wanted),
            )
            for replica_id, replica in self._replicas.items()
            if replica_id not in candidates
        ]

    def refusal(self, facts: Facts, retry_after_s: float = 1.0) -> Refused:
        """Say why `views(facts)` is empty."""
        models = self._models_of(facts.route.labels)
        if facts.model == "" and len(models) > 1:
            return Refused(Reason.INVALID_REQUEST, f"name one of the {len(models)} models that are served here")
        what = f"the model {facts.model!r}" if facts.model else "a model"
        if facts.lora_name:
            what = f"the adapter {facts.lora_name!r} of {what}"
        if (facts.model or facts.lora_name) and self._has_named_all() and not self._is_served(facts):
            return Refused(Reason.MODEL_NOT_FOUND, f"no replica serves {what}")
        of = f" of {what}" if facts.model or facts.lora_name else ""
        return Refused(Reason.NO_REPLICA_READY, f"no replica{of} is ready", retry_after_s=retry_after_s)

    def in_panic(self) -> list[str]:
        """Return the models of which so few replicas are ready that suspect and ejected ones are used."""
        return self._views.in_panic()

    def slot(self, view: View) -> int | None:
        """Return where the view's incarnation is counted; None once that incarnation is no more."""
        replica = self._replicas.get(view.id)
        return replica.slot if replica and replica.record.incarnation == view.incarnation else None

    def answered(self, slot: int, took_s: float, read_tokens: int, now_s: float) -> None:
        """A first token came, as in `PaceMeter.first_token`."""
        replica = self._by_slot.get(slot)
        if replica is not None:
            replica.meter.first_token(took_s, read_tokens, now_s)

    def used(self, slot: int, usage: Usage, took_s: float) -> None:
        """A request has told what it cost, as in `PaceMeter.used`."""
        replica = self._by_slot.get(slot)
        if replica is not None:
            replica.meter.used(usage, took_s)

    def counted(self, slot: int, *, is_freed: bool) -> None:
        """Take notice of new counts in `slot`, and whether they fell."""
        replica = self._by_slot.get(slot)
        if replica is not None:
            self._views.touch(replica)
            if replica.is_on_probation:
                self._forget()  # it may have one request at a time
            if is_freed:
                self._notify()

    def _apply_row(self, row: ReplicaRecord, change: FleetChange) -> None:
        replica = self._replicas.get(row.id)
        if replica is None:
            self._add(row)
            change.added.append(row.id)
            return
        old = replica.record
        if (old.incarnation, old.address) != (row.incarnation, row.address):
            self._remove(row.id)
            self._add(row)
            change.restarted.append(row.id)
        elif old != row:
            replica.take(row, self._counters)
            if old.state != row.state and row.state in _DOUBTFUL:
                change.doubtful.append(row.id)
            if _standing(old) != _standing(row):
                self._forget()
            self._views.touch(replica)
            change.changed.append(row.id)

    def _add(self, row: ReplicaRecord) -> None:
        slot = self._counters.open(row)
        self._replicas[row.id] = self._by_slot[slot] = replica = Replica(row, slot)
        replica.take(row, self._counters)
        self._forget()

    def _remove(self, replica_id: str) -> None:
        slot = self._replicas.pop(replica_id).slot
        del self._by_slot[slot]
        self._counters.close(slot)
        self._forget()

    def _forget(self) -> None:
        self._views.forget()
        self._models.clear()

    def _wanted(self, facts: Facts) -> Wanted | None:
        """None: it names no model, and there are several."""
        model, labels = facts.model, facts.route.labels
        if model == "":
            models = self._models_of(labels)
            if len(models) > 1:
                return None
            model = next(iter(models), None)
        return Wanted(model, facts.lora_name, labels)

    def _models_of(self, labels: Labels) -> frozenset[str]:
        models = self._models.get(labels)
        if models is None:
            records = [replica.record for replica in self._replicas.values() if labels <= replica.record.labels]
            models = self._models[labels] = frozenset[str]().union(*(record.models or () for record in records))
        return models

    def _is_served(self, facts: Facts) -> bool:
        """Whether any replica, ready or not, serves it."""
        wanted = Wanted(facts.model or None, facts.lora_name, facts.route.labels)
        if facts.lora_name and not facts.model:
            return any(facts.lora_name == lora for each in self._replicas.values() for _, lora in each.record.loras)
        return any(replica.serves(wanted) for replica in self._replicas.values())

    def _has_named_all(self) -> bool:
        """Whether there are replicas and each was asked for its models."""
        return bool(self._replicas) and all(replica.record.models is not None for replica in self._replicas.values())

    def __repr__(self) -> str:
        return f"<Fleet version {self._version}: {', '.join(map(repr, self._replicas.values()))}>"


def _standing(record: ReplicaRecord) -> tuple[object, ...]:
    """What decides for which requests it is a candidate."""
    return record.state, record.models, record.labels, record.loras
