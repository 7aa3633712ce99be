"""A gateway in front of this one, as one exchange knows it: what it sent is counted, and it is told our load."""

from gateway.dispatch.own_load import OwnLoad
from gateway.http2.headers import Fields
from gateway.rpc.orca import write_trailer
from gateway.types import Usage

__all__ = ["InFront"]


class InFront:
    __slots__ = ("_gateway_id", "_is_counted", "_own_load", "usage")

    def __init__(self, own_load: OwnLoad, gateway_id: bytes) -> None:
        self._own_load = own_load
        self._gateway_id = gateway_id
        self._is_counted = False
        self.usage: Usage | None = None
        """What the request has cost, once the replica has told."""

    def count(self) -> None:
        """Count the request as received: once, when it is leased or parked or has its end, so that the load in which it
        counts as received is one that has it."""
        if not self._is_counted:
            self._is_counted = True
            self._own_load.received(self._gateway_id)

    def trailers(self, now_s: float) -> Fields:
        self.count()
        return [write_trailer(self._own_load.report(self._gateway_id, now_s), self.usage)]
