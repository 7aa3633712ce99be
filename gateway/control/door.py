"""Where agents come in: one that has as many connections as it may have is turned away, others get a worker."""

import socket
from collections.abc import Callable

from gateway.config import LimitSettings
from gateway.control.metrics import ControlMetrics
from gateway.control.peers import Peers
from gateway.errors import Limit


class Door:
    """`limits` returns those in force. `hand_over` gives a socket to a worker, with the number of its network, at an
    instant of `clock`, and returns whether one took it."""

    def __init__(
        self,
        limits: Callable[[], LimitSettings],
        peers: Peers,
        hand_over: Callable[[socket.socket, int, float], bool],
        metrics: ControlMetrics,
        clock: Callable[[], float],
    ) -> None:
        self._limits = limits
        self._peers = peers
        self._hand_over = hand_over
        self._metrics = metrics
        self._clock = clock

    def on_accepted(self, accepted: socket.socket, address: str) -> bool:
        """Take a connection over, and hand it to a worker or close it. False: nobody takes it now, and it is still the
        caller's and not counted."""
        network = self._peers.enter(address, self._limits())
        if isinstance(network, Limit):
            self._metrics.limits_hit.child(network.value).add()
            accepted.close()
            return True
        if took := self._hand_over(accepted, network, self._clock()):
            self._metrics.accepted.add()
        return took
