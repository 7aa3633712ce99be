"""A replica as one worker holds it."""

from gateway.fleet.counters import Counters
from gateway.types import ReplicaRecord, ReplicaState, View

__all__ = ["Replica"]


class Replica:
    """One life of a replica: what control says of it, whether this worker reaches it, where its counts are."""

    __slots__ = ("is_reachable", "record", "slot")

    def __init__(self, record: ReplicaRecord, slot: int) -> None:
        self.record = record
        self.slot = slot
        self.is_reachable = True
        """This worker's connection to it is up or untried."""

    @property
    def is_candidate(self) -> bool:
        return self.is_reachable and self.record.state == ReplicaState.READY

    def serves(self, model: str | None) -> bool:
        """Whether it named `model`; None asks for no model at all."""
        return model is None or model in (self.record.models or ())

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
        )

    def __repr__(self) -> str:
        reach = "" if self.is_reachable else ", unreachable"
        return f"<Replica {self.record.id}/{self.record.incarnation} {self.record.state.name}{reach}>"
