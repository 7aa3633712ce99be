"""The only writer of what is known of replicas. Synchronous: it is told, asks the table, and says what changed."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from gateway import logs
from gateway.config import ReplicaSettings
from gateway.fleet.health import Event, transition
from gateway.types import LoadReport, ReplicaRecord, ReplicaState, Snapshot

_log = logging.getLogger(__name__)


_DRAINED = "drained by an operator"


class ModelOffer(NamedTuple):
    """One model as a replica names it (inference.v1.Model)."""

    name: str
    context_tokens: int = 0
    lora_names: tuple[str, ...] = ()
    kv_cache_tokens: int = 0
    ready_replicas: int = 1
    """More than 1 where the replica is itself a gateway."""


class Change(Enum):
    FLEET = "fleet"
    LOAD = "load"
    """Load reports alone: these come often and may wait a little."""


@dataclass(slots=True)
class Replica:
    """One replica with what workers need not know."""

    record: ReplicaRecord
    settings: ReplicaSettings
    offers: tuple[ModelOffer, ...] = ()
    reason: str = "not yet connected"
    """Why it is in its state, for people."""
    boot_id: int = 0
    """Of this incarnation; 0 where it is not known."""
    is_identified: bool = False
    """Since the health connection was last established."""
    is_serving: bool = False
    """It says so, whether or not an operator has drained it."""
    is_drained: bool = False
    """By an operator, until one takes that back."""
    operators_weight: float | None = None
    """Instead of the settings'."""


class FleetOwner:
    """`on_change` is called after each change, never with nothing changed. What is told of unknown replicas is ignored:
    it was on its way when the replica was removed."""

    def __init__(self, on_change: Callable[[Change], None]) -> None:
        self._on_change = on_change
        self._replicas: dict[str, Replica] = {}
        self._version = 0
        # One count for all, so that a replica removed and named again never repeats a number.
        self._incarnations = 0

    def __repr__(self) -> str:
        states = ", ".join(f"{replica.record.id} {replica.record.state.name}" for replica in self._replicas.values())
        return f"<FleetOwner version {self._version}: {states}>"

    @property
    def version(self) -> int:
        return self._version

    @property
    def replicas(self) -> Sequence[Replica]:
        return tuple(self._replicas.values())

    def snapshot(self) -> Snapshot:
        return Snapshot(self._version, tuple(replica.record for replica in self._replicas.values()))

    def has_ready(self) -> bool:
        return any(replica.record.state is ReplicaState.READY for replica in self._replicas.values())

    # From discovery.

    def assign(self, wanted: Iterable[ReplicaSettings]) -> None:
        """Make the fleet these replicas. What was known of those that stay, stays."""
        names = {settings.id or settings.address: settings for settings in wanted}
        for replica_id in self._replicas.keys() - names.keys():
            self._apply(self._replicas[replica_id], Event.REMOVED, "removed by discovery")
            del self._replicas[replica_id]
        for replica_id, settings in names.items():
            self._assign_one(replica_id, settings)

    def _assign_one(self, replica_id: str, settings: ReplicaSettings) -> None:
        replica = self._replicas.get(replica_id)
        if replica is not None and replica.settings == settings:
            return
        if replica is None or replica.settings.address != settings.address:
            incarnation = replica.record.incarnation if replica else 0
            record = ReplicaRecord(
                replica_id, settings.address, incarnation, ReplicaState.STARTING, None, settings.weight, None
            )
            old, replica = replica, Replica(record, settings)
            if old is not None:
                replica.is_drained, replica.operators_weight = old.is_drained, old.operators_weight
            self._replicas[replica_id] = replica
        replica.settings = settings
        labels = frozenset(settings.labels.items())
        weight = replica.operators_weight or settings.weight
        replica.record = replica.record._replace(weight=weight, zone=settings.zone, labels=labels)
        self._changed(Change.FLEET)

    # From operators. Each returns whether that changed anything; KeyError where there is no such replica.

    def drain(self, replica_id: str) -> bool:
        """Give it no more requests; those that it has run to their ends. It stays so over its restarts."""
        replica = self._replicas[replica_id]
        is_new = not replica.is_drained
        replica.is_drained = True
        if is_new:
            replica.reason = _DRAINED
            self._apply(replica, Event.NOT_SERVING, _DRAINED, is_changed=True)
        return is_new

    def undrain(self, replica_id: str) -> bool:
        """Let its own health decide again."""
        replica = self._replicas[replica_id]
        was_drained, replica.is_drained = replica.is_drained, False
        if was_drained:
            replica.reason = "no longer drained"
            event = Event.SERVING if replica.is_serving else Event.NOT_SERVING
            self._apply(replica, event, "no longer drained", is_changed=True)
        return was_drained

    def weigh(self, replica_id: str, weight: float | None) -> bool:
        """Set its weight; None: the one that discovery gives it."""
        replica = self._replicas[replica_id]
        replica.operators_weight = weight
        before, after = replica.record.weight, weight or replica.settings.weight
        if before != after:
            replica.record = replica.record._replace(weight=after)
            self._changed(Change.FLEET)
        return before != after

    # From the prober.

    def connected(self, replica_id: str) -> None:
        """The health connection is up; whether to the same process as before, `identified` will say."""
        if replica := self._replicas.get(replica_id):
            replica.is_identified = replica.is_serving = False
            self._apply(replica, Event.CONNECTED, "connected, health not yet known")

    def lost(self, replica_id: str, reason: str) -> None:
        if replica := self._replicas.get(replica_id):
            replica.reason = reason
            self._apply(replica, Event.CONNECTION_LOST, reason)

    def identified(self, replica_id: str, boot_id: int) -> None:
        """Say which life of the process answers. 0: it does not tell, and each connection counts as a new life."""
        replica = self._replicas.get(replica_id)
        if replica is None:
            return
        # A name that comes late belongs to the life that the connection has begun.
        is_late = replica.is_identified and not (boot_id and replica.boot_id)
        is_same = is_late or (boot_id != 0 and boot_id == replica.boot_id)
        replica.is_identified = True
        replica.boot_id = boot_id or (replica.boot_id if is_same else 0)
        if not is_same:
            self._incarnations += 1
            replica.record = replica.record._replace(incarnation=self._incarnations, models=None, load=None)
            replica.offers = ()
            self._apply(replica, Event.NEW_INCARNATION, "a new process answers", is_changed=True)

    def serving(self, replica_id: str, offers: Sequence[ModelOffer]) -> None:
        """Health says SERVING, and the replica was asked for its models."""
        if replica := self._replicas.get(replica_id):
            replica.offers = tuple(offers) or tuple(map(ModelOffer, replica.settings.models))
            models = frozenset(offer.name for offer in replica.offers)
            loras = frozenset((offer.name, lora) for offer in replica.offers for lora in offer.lora_names)
            cache_tokens = max((offer.kv_cache_tokens * max(1, offer.ready_replicas) for offer in offers), default=0)
            record = replica.record._replace(models=models, loras=loras, kv_cache_tokens=cache_tokens)
            is_changed = replica.record != record
            replica.record = record
            replica.is_serving = True
            event, reason = (Event.NOT_SERVING, _DRAINED) if replica.is_drained else (Event.SERVING, "serving")
            self._apply(replica, event, reason, is_changed=is_changed)

    def not_serving(self, replica_id: str, reason: str) -> None:
        if replica := self._replicas.get(replica_id):
            replica.is_serving = False
            self._apply(replica, Event.NOT_SERVING, reason)

    def reported(self, replica_id: str, load: LoadReport) -> None:
        if replica := self._replicas.get(replica_id):
            replica.record = replica.record._replace(load=load)
            self._changed(Change.LOAD)

    def _apply(self, replica: Replica, event: Event, reason: str, *, is_changed: bool = False) -> None:
        before = replica.record.state
        after = transition(before, event)
        if after is not before:
            replica.record = replica.record._replace(state=after)
            replica.reason = reason
            level = logging.WARNING if before is ReplicaState.READY else logging.INFO
            fields = {"replica": replica.record.id, "incarnation": replica.record.incarnation, "reason": reason}
            _log.log(level, logs.line("replica_state", state=after.name.lower(), **fields))
        if after is not before or is_changed:
            self._changed(Change.FLEET)

    def _changed(self, change: Change) -> None:
        self._version += 1
        self._on_change(change)
