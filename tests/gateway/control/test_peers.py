"""How many connections an agent may have, over all workers."""

from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.config import LimitSettings
from gateway.control.peers import Peers
from gateway.errors import Limit
from gateway.fleet.presence import Presence
from tests.gateway.fleets import shared_rows

ROOMY = LimitSettings()


class Gateway:
    """Control and its workers, which are told of connections and of their ends."""

    def __init__(self, workers: int = 2, limits: LimitSettings = ROOMY) -> None:
        self.rows = shared_rows(workers)
        self.peers = Peers(self.rows)
        self.limits = limits
        self.open: list[tuple[str, int, int]] = []
        """Address, number and worker of each connection."""

    def connect(self, address: str, worker: int | None = 0) -> Limit | None:
        """None: no worker takes it."""
        number = self.peers.enter(address, self.limits)
        if isinstance(number, Limit):
            return number
        if worker is not None:
            self.peers.handed_over(number, worker)
            self.open.append((address, number, worker))
        return None

    def end(self, address: str) -> None:
        """The first of its connections ends."""
        self.end_at([each[0] for each in self.open].index(address))

    def end_at(self, place: int) -> None:
        _, number, worker = self.open.pop(place)
        Presence(self.rows, worker).connection_ended(number)

    def crash(self, worker: int) -> None:
        self.rows.bury(worker)
        self.peers.bury(worker)
        self.open = [each for each in self.open if each[2] != worker]


def test_an_address_has_so_many_and_no_more() -> None:
    them = Gateway(limits=LimitSettings(connections_per_address=2))
    assert [them.connect("10.0.0.1", worker) for worker in (0, 1, 0)] == [None, None, Limit.CONNECTIONS_PER_ADDRESS]
    assert them.connect("10.0.0.2") is None
    them.end("10.0.0.1")
    assert [them.connect("10.0.0.1", worker) for worker in (1, 1)] == [None, Limit.CONNECTIONS_PER_ADDRESS]


def test_all_addresses_together_have_so_many() -> None:
    them = Gateway(limits=LimitSettings(connections=2))
    assert [them.connect(f"10.0.0.{each}", each % 2) for each in range(3)] == [None, None, Limit.CONNECTIONS]
    them.end("10.0.0.0")
    assert [them.connect("10.0.0.3"), them.connect("10.0.0.4")] == [None, Limit.CONNECTIONS]


def test_other_limits_hold_for_the_next_connection() -> None:
    them = Gateway(limits=LimitSettings(connections_per_address=2, connections=3))
    assert [them.connect("10.0.0.1") for _ in range(3)] == [None, None, Limit.CONNECTIONS_PER_ADDRESS]
    them.limits = LimitSettings(connections_per_address=4, connections=3)
    assert [them.connect("10.0.0.1") for _ in range(2)] == [None, Limit.CONNECTIONS]
    them.limits = LimitSettings(connections_per_address=1)
    them.end("10.0.0.1")
    assert them.connect("10.0.0.1") is Limit.CONNECTIONS_PER_ADDRESS
    assert them.connect("10.0.0.2") is None


def test_the_connections_of_a_dead_worker_have_ended_and_those_of_others_have_not() -> None:
    them = Gateway(limits=LimitSettings(connections_per_address=3))
    assert [them.connect("10.0.0.1", worker) for worker in (0, 0, 1)] == [None] * 3
    them.end("10.0.0.1")
    them.crash(0)
    assert [them.connect("10.0.0.1", worker) for worker in (0, 1, 0)] == [None, None, Limit.CONNECTIONS_PER_ADDRESS]


def test_a_connection_that_no_worker_takes_is_not_counted() -> None:
    them = Gateway(limits=LimitSettings(connections=1))
    assert [them.connect("10.0.0.1", None) for _ in range(9)] == [None] * 9
    assert them.connect("10.0.0.2") is None


def test_numbers_of_addresses_that_come_and_go_are_used_again() -> None:
    them = Gateway()
    assert them.connect("10.0.0.1") is None
    for each in range(1_000):
        assert them.connect(f"10.1.{each // 250}.{each % 250}", each % 2) is None
        them.end_at(-1)
    assert repr(them.peers) == "<Peers: 1 connections, 3 networks>"
    them.limits = LimitSettings(connections_per_address=1)
    assert them.connect("10.0.0.1") is Limit.CONNECTIONS_PER_ADDRESS


@pytest.mark.parametrize(
    ("first", "second", "are_one"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
    ],
)
def test_one_host_is_one_agent_whatever_it_calls_itself(first: str, second: str, are_one: bool) -> None:
    them = Gateway(limits=LimitSettings(connections_per_address=1))
    assert them.connect(first) is None
    assert (them.connect(second) is Limit.CONNECTIONS_PER_ADDRESS) is are_one


WORKERS = 3
workers = st.integers(0, WORKERS - 1)


class Crowd(RuleBasedStateMachine):
    """Agents come and go, workers die, settings change: never one more than may be, and none refused before."""

    @initialize()
    def start(self) -> None:
        self.them = Gateway(WORKERS)
        self.most = 0

    @rule(connections=st.integers(1, 12), connections_per_address=st.integers(1, 4))
    def limit(self, connections: int, connections_per_address: int) -> None:
        self.them.limits = LimitSettings(connections=connections, connections_per_address=connections_per_address)

    @rule(host=st.integers(0, 40), worker=workers)
    def connect(self, host: int, worker: int) -> None:
        self._connect(f"10.0.0.{host}", worker)

    @rule(host=st.integers(0, 40))
    def connect_while_no_worker_takes_it(self, host: int) -> None:
        self._connect(f"10.0.0.{host}", None)

    @rule(place=st.integers(0, 40))
    def end(self, place: int) -> None:
        if self.them.open:
            self.them.end_at(place % len(self.them.open))

    @rule(worker=workers)
    def crash(self, worker: int) -> None:
        self.them.crash(worker)

    @invariant()
    def a_number_is_of_one_network_and_there_are_few(self) -> None:
        self.most = max(self.most, len(self.them.open))
        numbers = {(address, number) for address, number, _ in self.them.open}
        assert len({number for _, number in numbers}) == len({address for address, _ in numbers}) == len(numbers)
        assert max((number for _, number in numbers), default=0) <= 2 * self.most + 1

    def _connect(self, address: str, worker: int | None) -> None:
        limits, of_each = self.them.limits, Counter(each[0] for each in self.them.open)
        expected = None
        if of_each[address] >= limits.connections_per_address:
            expected = Limit.CONNECTIONS_PER_ADDRESS
        elif of_each.total() >= limits.connections:
            expected = Limit.CONNECTIONS
        assert self.them.connect(address, worker) is expected


TestCrowd = Crowd.TestCase
