"""What gateways in front have sent, counted by several processes in one piece of memory."""

from gateway.fleet.received import Received
from gateway.fleet.shared_counters import GATEWAYS
from tests.gateway.fleets import shared_rows


def test_each_process_knows_the_sum_over_all_workers_for_each_gateway() -> None:
    shared = shared_rows(2)
    one, other, control = (Received(shared, process) for process in range(3))
    for gateway in (b"a", b"b", b"a"):
        one.add(gateway)
    other.add(b"a")
    for process in (one, other, control):
        assert (process.total(b"a"), process.total(b"b"), process.total(b"c")) == (3, 1, 0)


def test_a_worker_that_is_started_again_goes_on_counting() -> None:
    shared = shared_rows(1)
    for gateway in (b"a", b"b", b"a"):
        Received(shared, 0).add(gateway)
    assert (Received(shared, 0).total(b"a"), Received(shared, 0).total(b"b")) == (2, 1)


def test_the_dead_worker_s_count_stays_since_what_was_sent_was_sent() -> None:
    shared = shared_rows(2)
    Received(shared, 0).add(b"a")
    shared.bury(0)
    assert Received(shared, 1).total(b"a") == 1


def test_beyond_the_bound_the_one_that_was_silent_longest_begins_again() -> None:
    shared = shared_rows(1)
    received = Received(shared, 0)
    for number in range(GATEWAYS):
        received.add(b"%d" % number)
    received.add(b"0")
    received.add(b"new")
    assert [received.total(gateway) for gateway in (b"0", b"1", b"2", b"new")] == [2, 0, 1, 1]
    again = Received(shared, 0)
    again.add(b"newer")
    assert (again.total(b"newer"), again.total(b"new")) == (1, 1)
