"""A replica as one worker holds it."""

from gateway.fleet.counters import Counters
from gateway.fleet.unseen import Unseen
from gateway.types import LoadReport, ReplicaRecord, ReplicaState, View

__all__ = ["Replica"]


class Replica:
    """One life of a replica: what control says of it, whether this worker reaches it, where its counts are."""

    __slots__ = ("_unseen", "is_reachable", "record", "slot")

    def __init__(self, record: ReplicaRecord, slot: int) -> None:
        self.record = record._replace(load=None)
        self.slot = slot
        self.is_reachable = True
        """This worker's connection to it is up or untried."""
        self._unseen = Unseen()

    @property
    def is_candidate(self) -> bool:
        return self.is_reachable and self.record.state == ReplicaState.READY

    def serves(self, model: str | None) -> bool:
        """Whether it named `model`; None asks for no model at all."""
        return model is None or model in (self.record.models or ())

    def take(self, record: ReplicaRecord, counters: Counters) -> None:
        """Take over what control says of the same life."""
        self.record = record._replace(load=self.record.load)
        if record.load is not None:
            self.reported(record.load, counters)

    def reported(self, load: LoadReport, counters: Counters) -> bool:
        """Take over what it says of its load. False: something newer was known, or another life says it."""
        known = self.record.load
        if known is not None and (known.received_at >= load.received_at or known.boot_id != load.boot_id):
            return False
        self.record = self.record._replace(load=load)
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
            record.load,
            requests,
            prefill_tokens,
            context_tokens,
            self._unseen.requests(counters.sent(self.slot), requests),
        )

    def __repr__(self) -> str:
        reach = "" if self.is_reachable else ", unreachable"
        return f"<Replica {self.record.id}/{self.record.incarnation} {self.record.state.name}{reach}>"
