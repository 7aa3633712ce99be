"""The only writer of what is known of replicas. Synchronous: it is told, asks the table, and says what changed."""

import logging
from collections.abc import Callable, Iterable, Sequence

from gateway import logs
from gateway.channel.messages import Awaited, Outcome
from gateway.config import HealthSettings, ReplicaSettings
from gateway.control.known_replica import Change, ModelOffer, Replica
from gateway.fleet.conduct import Conduct, stall_budget_s
from gateway.fleet.health import Event, transition
from gateway.fleet.views import USABLE
from gateway.fleet.weight import effective_weight
from gateway.types import LoadReport, ReplicaRecord, ReplicaState, Snapshot

__all__ = ["Change", "FleetOwner", "ModelOffer", "Replica"]

_log = logging.getLogger(__name__)


_DRAINED = "drained by an operator"
_SERVING = (ReplicaState.READY, ReplicaState.PROBATION)


class FleetOwner:
    """`on_change` is called after each change, never with nothing changed. What is told of unknown replicas, or of a
    life that has ended, is ignored: it was on its way."""

    def __init__(
        self,
        on_change: Callable[[Change], None],
        clock: Callable[[], float],
        health: HealthSettings | None = None,
    ) -> None:
        self._on_change = on_change
        self._health = health or HealthSettings()
        self._clock = clock
        self._told_loads: set[str] = set()
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
        """Whether requests go to any: to those on probation, which would never end without, and to suspect and ejected
        ones that answer where panic uses them. Or a gateway in front would take this one for draining, and not use it
        whatever its own need."""
        in_need = USABLE if self._health.panic_share > 0 else ()
        return any(
            replica.record.state in _SERVING or (replica.record.state in in_need and replica.is_connected)
            for replica in self._replicas.values()
        )

    def judge_by(self, health: HealthSettings) -> None:
        """Go by other settings from the next event on: nothing that has happened is forgotten."""
        self._health = health
        for replica in self._replicas.values():
            replica.conduct.settings = health
        self._changed(Change.FLEET)  # whether ejected ones are used decides whether the gateway is ready

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
            old, replica = replica, Replica(record, settings, self._new_conduct())
            if old is not None:
                replica.is_drained, replica.operators_weight = old.is_drained, old.operators_weight
            self._replicas[replica_id] = replica
        replica.settings = settings
        labels = frozenset(settings.labels.items())
        replica.record = replica.record._replace(zone=settings.zone, labels=labels)
        self._weigh(replica, self._clock())
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
        is_changed = self._weigh(replica, self._clock())
        if is_changed:
            self._changed(Change.FLEET)
        return is_changed

    # From the prober.

    def connected(self, replica_id: str) -> None:
        """The health connection is up; whether to the same process as before, `identified` will say."""
        if replica := self._replicas.get(replica_id):
            replica.is_identified = replica.is_serving = False
            replica.is_connected = True
            self._apply(replica, Event.CONNECTED, "connected, health not yet known")

    def lost(self, replica_id: str, reason: str) -> None:
        if replica := self._replicas.get(replica_id):
            replica.reason = reason
            replica.is_connected = replica.is_serving = False
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
            replica.conduct = self._new_conduct()
            self._weigh(replica, self._clock())
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
        if (replica := self._replicas.get(replica_id)) is None:
            return
        before = replica.record.load
        replica.record = replica.record._replace(load=load)
        self._told_loads.add(replica_id)
        if before is not None and _has_stepped(before, load):
            self._judge(replica, replica.conduct.heard(load.received_at, replica.record.state), "its engine gets on")
        self._changed(Change.FLEET if self._weigh(replica, self._clock()) else Change.LOAD)

    def take_loads(self) -> list[tuple[str, int, LoadReport]]:
        """Return the reports that came since this was last called: id, incarnation, report."""
        told, self._told_loads = self._told_loads, set()
        records = [self._replicas[replica_id].record for replica_id in told if replica_id in self._replicas]
        return [(record.id, record.incarnation, record.load) for record in records if record.load is not None]

    # From workers.

    def ended(self, outcome: Outcome) -> None:
        """Attempts, or connections, have ended. Several in a row were answered, and say no more than one."""
        if replica := self._judged(outcome.replica_id, outcome.incarnation):
            event = replica.conduct.ended(outcome.kind, replica.record.state, self._clock())
            self._judge(replica, event, f"an attempt ended: {outcome.kind.value}")

    def awaited(self, awaited: Awaited) -> None:
        """A worker's streams should bring something, and did or did not."""
        if (replica := self._judged(awaited.replica_id, awaited.incarnation)) is None:
            return
        now_s = self._clock()
        self._judge(replica, replica.conduct.heard(awaited.heard_at, replica.record.state), "its streams get on")
        budget_s = stall_budget_s(self._health, awaited.prefill_tokens, replica.record.load)
        event = replica.conduct.waited(awaited.since, budget_s, replica.record.state, now_s)
        self._judge(replica, event, f"no token for more than {budget_s:.0f} s")

    def tick(self) -> None:
        """Do what only time brings; to be called some times a second."""
        now_s = self._clock()
        for replica in self._replicas.values():
            if replica.is_connected:
                event = replica.conduct.due(replica.record.state, now_s)
                self._judge(replica, event, "its time is up" if event is Event.EJECTION_ENDED else "still silent")
            if self._weigh(replica, now_s):
                self._changed(Change.FLEET)

    # Ours.

    def _new_conduct(self) -> Conduct:
        return Conduct(self._health, self._clock())

    def _judged(self, replica_id: str, incarnation: int) -> Replica | None:
        replica = self._replicas.get(replica_id)
        is_judged = replica is not None and replica.is_connected and replica.record.incarnation == incarnation
        return replica if is_judged else None

    def _judge(self, replica: Replica, event: Event | None, reason: str) -> None:
        if event is not None and (not _ejects(replica.record.state, event) or self._may_eject()):
            self._apply(replica, event, reason)

    def _may_eject(self) -> bool:
        """Those that are away anyway do not count, or they would keep bad ones in use."""
        records = [replica.record for replica in self._replicas.values() if replica.is_connected]
        ejected = sum(record.state is ReplicaState.EJECTED for record in records)
        return ejected + 1 <= max(1, int(self._health.ejected_share * len(self._replicas)))

    def _weigh(self, replica: Replica, now_s: float) -> bool:
        """Set its effective weight; return whether that is news."""
        slow_start = replica.conduct.slow_start(now_s)
        own_weight = replica.operators_weight or replica.settings.weight
        weight = effective_weight(own_weight, slow_start, replica.record.load, self._health)
        if weight == replica.record.weight:
            return False
        replica.record = replica.record._replace(weight=weight)
        return True

    def _apply(self, replica: Replica, event: Event, reason: str, *, is_changed: bool = False) -> None:
        before = replica.record.state
        after = transition(before, event)
        if after is not before:
            now_s = self._clock()
            replica.conduct.entered(before, after, event, now_s)
            replica.record = replica.record._replace(state=after)
            replica.reason = reason
            self._weigh(replica, now_s)
            level = logging.WARNING if before is ReplicaState.READY else logging.INFO
            fields = {"replica": replica.record.id, "incarnation": replica.record.incarnation, "reason": reason}
            _log.log(level, logs.line("replica_state", state=after.name.lower(), **fields))
        if after is not before or is_changed:
            self._changed(Change.FLEET)

    def _changed(self, change: Change) -> None:
        self._version += 1
        self._on_change(change)


def _ejects(state: ReplicaState, event: Event) -> bool:
    """Whether it would be one more that is ejected."""
    return state is not ReplicaState.EJECTED and transition(state, event) is ReplicaState.EJECTED


def _has_stepped(before: LoadReport, after: LoadReport) -> bool:
    """Whether the engine has done something in between: arrivals alone change neither of these."""
    return (before.running_requests, before.kv_cache_utilization) != (
        after.running_requests,
        after.kv_cache_utilization,
    )
