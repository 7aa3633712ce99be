"""A replica as one worker holds it."""

from typing import NamedTuple

from gateway.fleet.counters import Counters
from gateway.fleet.pace import PaceMeter
from gateway.fleet.unseen import Unseen
from gateway.types import Labels, LoadReport, ReplicaRecord, ReplicaState, View

__all__ = ["Replica", "Wanted"]


class Wanted(NamedTuple):
    """What a request needs of a replica."""

    model: str | None
    """None: any will do."""
    lora: str = ""
    labels: Labels = frozenset()


class Replica:
    """One life of a replica: what control says of it, whether this worker reaches it, where its counts are."""

    __slots__ = ("_unseen", "is_on_probation", "is_reachable", "load", "meter", "record", "slot")

    def __init__(self, record: ReplicaRecord, slot: int) -> None:
        self.record = record
        """Of its load it says what was known when control made it: `load` may be newer."""
        self.load: LoadReport | None = None
        self.slot = slot
        self.is_on_probation = record.state is ReplicaState.PROBATION
        self.is_reachable = True
        """This worker's connection to it is up or untried."""
        self.meter = PaceMeter()
        self._unseen = Unseen()

    @property
    def is_healthy(self) -> bool:
        return self.is_reachable and self.record.state == ReplicaState.READY

    def serves(self, wanted: Wanted) -> bool:
        """Whether it named the model and its adapter, and has the labels."""
        model, lora, labels = wanted
        record = self.record
        is_model = model is None or model in (record.models or ())
        return is_model and labels <= record.labels and (not lora or (model, lora) in record.loras)

    def why_not(self, wanted: Wanted) -> str:
        """Return why it is no candidate, of one that is none."""
        record = self.record
        if record.state != ReplicaState.READY:
            return f"not ready: {record.state.name.lower()}"
        if not self.is_reachable:
            return "no connection from this worker"
        if not wanted.labels <= record.labels:
            return "not of the route"
        if not self.serves(wanted._replace(lora="")):
            return "wrong model"
        return "no such adapter"

    def take(self, record: ReplicaRecord, counters: Counters) -> None:
        """Take over what control says of the same life."""
        self.record = record
        self.is_on_probation = record.state is ReplicaState.PROBATION
        if record.load is not None:
            self.reported(record.load, counters)

    def reported(self, load: LoadReport, counters: Counters) -> bool:
        """Take over what it says of its load. False: something newer was known, or another life says it."""
        known = self.load
        if known is not None and (known.received_at >= load.received_at or known.boot_id != load.boot_id):
            return False
        self.load = load
        self._unseen.reported(load, counters.sent(self.slot))
        return True

    def view(self, counters: Counters) -> View:
        record = self.record
        requests, prefill_tokens, context_tokens = counters.total(self.slot)
        return View(
            record.id,
            record.incarnation,
            record.state,
            record.weight,
            self.load,
            requests,
            prefill_tokens,
            context_tokens,
            self._unseen.requests(counters.sent(self.slot), requests),
            self.meter.pace(),
            record.zone,
            record.labels,
        )

    def __repr__(self) -> str:
        reach = "" if self.is_reachable else ", unreachable"
        return f"<Replica {self.record.id}/{self.record.incarnation} {self.record.state.name}{reach}>"
