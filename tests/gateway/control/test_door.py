"""Who is let in, and what becomes of who is not."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gateway.config import LimitSettings
from gateway.control.door import Door
from gateway.control.fleet_owner import FleetOwner
from gateway.control.metrics import ControlMetrics
from gateway.control.peers import Peers
from gateway.fleet.presence import Presence
from tests.gateway.fleets import shared_rows

HERE, THERE = "127.0.0.1", "::1"


class Entrance:
    """A door, and the only worker behind it."""

    def __init__(self, ends: ExitStack) -> None:
        self._ends = ends
        rows = shared_rows(1)
        self._peers = Peers(rows)
        self.presence = Presence(rows, 0)
        self.metrics = ControlMetrics(FleetOwner(lambda change: None, lambda: 0.0))
        self.limits = LimitSettings(connections=3, connections_per_address=2)
        self.is_busy = False
        self.given: list[tuple[int, float]] = []
        """Number and instant."""
        self._door = Door(lambda: self.limits, self._peers, self._hand_over, self.metrics, lambda: 5.0)

    def _hand_over(self, accepted: socket.socket, network: int, now_s: float) -> bool:
        if not self.is_busy:
            self._peers.handed_over(network, 0)
            self.given.append((network, now_s))
        return not self.is_busy

    def knock(self, address: str) -> str:
        """Return what becomes of a connection."""
        agent, accepted = map(self._ends.enter_context, socket.socketpair())
        agent.setblocking(False)
        if not self._door.on_accepted(accepted, address):
            return "waits"
        try:
            return "closed" if agent.recv(1) == b"" else "answered"
        except BlockingIOError:
            return "taken"

    def counted(self) -> dict[str, float]:
        families = {family.name: family.samples for family in self.metrics.families()}
        hit = families.get("inference_gateway_limits_hit_total", [])
        return {sample.labels[0]: sample.values[0] for sample in hit}


@pytest.fixture
def entrance() -> Iterator[Entrance]:
    with ExitStack() as ends:
        yield Entrance(ends)


def test_one_that_has_as_many_as_it_may_is_turned_away_and_counted(entrance: Entrance) -> None:
    assert [entrance.knock(HERE) for _ in range(3)] == ["taken", "taken", "closed"]
    assert [entrance.knock(THERE) for _ in range(2)] == ["taken", "closed"]
    assert entrance.counted() == {"connections_per_address": 1, "connections": 1}
    assert entrance.metrics.accepted.values == [3]
    assert entrance.given == [(1, 5.0), (1, 5.0), (2, 5.0)]
    entrance.presence.connection_ended(1)
    assert [entrance.knock(HERE) for _ in range(2)] == ["taken", "closed"]


def test_one_that_no_worker_takes_is_still_the_listeners_and_not_counted(entrance: Entrance) -> None:
    entrance.is_busy = True
    assert [entrance.knock(HERE) for _ in range(5)] == ["waits"] * 5
    entrance.is_busy = False
    assert [entrance.knock(HERE) for _ in range(3)] == ["taken", "taken", "closed"]
    assert entrance.metrics.accepted.values == [2]


def test_other_limits_hold_at_once(entrance: Entrance) -> None:
    assert [entrance.knock(HERE) for _ in range(3)] == ["taken", "taken", "closed"]
    entrance.limits = LimitSettings(connections=9, connections_per_address=3)
    assert [entrance.knock(HERE) for _ in range(2)] == ["taken", "closed"]
    entrance.limits = LimitSettings(connections=3)
    assert entrance.knock(THERE) == "closed"
    assert entrance.counted() == {"connections_per_address": 2, "connections": 1}
