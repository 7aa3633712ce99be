"""How many connections an agent may have."""

import pytest

from gateway.config import LimitSettings
from gateway.errors import Limit
from gateway.fleet.shared_counters import Cell, Rows, SharedTally, size_bytes
from gateway.relay.peers import Peers


def test_an_address_has_so_many_and_no_more() -> None:
    peers = Peers(LimitSettings(connections_per_address=2))
    assert [peers.enter("10.0.0.1") for _ in range(3)] == [None, None, Limit.CONNECTIONS_PER_ADDRESS]
    assert peers.enter("10.0.0.2") is None
    peers.leave("10.0.0.1")
    assert peers.enter("10.0.0.1") is None


def test_all_addresses_together_have_so_many() -> None:
    peers = Peers(LimitSettings(connections=2))
    assert [peers.enter(f"10.0.0.{number}") for number in range(3)] == [None, None, Limit.CONNECTIONS]
    peers.leave("10.0.0.0")
    assert peers.enter("10.0.0.3") is None


def test_all_workers_together_have_so_many_and_what_one_gives_up_another_may_take() -> None:
    rows = Rows(memoryview(bytearray(size_bytes(2))), 2)
    one, other = (
        Peers(LimitSettings(connections=3), SharedTally(rows, number, Cell.CONNECTIONS)) for number in range(2)
    )
    assert [peers.enter("10.0.0.1") for peers in (one, one, other)] == [None] * 3
    assert [peers.enter("10.0.0.2") for peers in (one, other)] == [Limit.CONNECTIONS] * 2
    one.leave("10.0.0.1")
    assert other.enter("10.0.0.2") is None
    assert one.enter("10.0.0.1") is Limit.CONNECTIONS
    one.limits = LimitSettings(connections=4)
    assert one.enter("10.0.0.1") is None
    rows.bury(1)
    assert [one.enter("10.0.0.1") for _ in range(3)] == [None, None, Limit.CONNECTIONS]


@pytest.mark.parametrize(
    ("first", "second", "are_one"),
    [
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("", "", True),
    ],
)
def test_one_host_is_one_agent_whatever_it_calls_itself(first: str, second: str, are_one: bool) -> None:
    peers = Peers(LimitSettings(connections_per_address=1))
    assert peers.enter(first) is None
    assert (peers.enter(second) is Limit.CONNECTIONS_PER_ADDRESS) is are_one
