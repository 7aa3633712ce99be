from gateway.fleet.presence import Presence
from gateway.fleet.shared_counters import NETWORKS, Cell, SharedCounters, SharedTally
from tests.gateway.fleets import row, shared_rows


def test_who_has_just_begun_goes_by_no_fleet_and_has_nothing() -> None:
    presence = Presence(shared_rows(2), 0)
    assert (presence.fleet_version, presence.beats, presence.streams) == (-1, 0, 0)


def test_a_beat_says_that_the_loop_runs_and_by_which_fleet() -> None:
    shared = shared_rows(2)
    Presence(shared, 1).beat(0)
    assert (Presence(shared, 1).beats, Presence(shared, 1).fleet_version) == (1, 0)
    Presence(shared, 1).beat(7)
    assert (Presence(shared, 1).beats, Presence(shared, 1).fleet_version) == (2, 7)
    assert Presence(shared, 0).beats == 0


def test_streams_are_requests_with_any_replica_and_those_that_wait_for_one() -> None:
    shared = shared_rows(2)
    counters = SharedCounters(shared, 1, is_ordered=True)
    slots = [counters.open(row(name)._replace(slot=slot)) for slot, name in enumerate("ab")]
    for slot in slots:
        counters.add(slot, 1, 10, 20)
    SharedTally(shared, 1, Cell.PARKED_REQUESTS).set(3)
    counters.add(0, 0, -10, 0)
    assert Presence(shared, 1).streams == 5
    counters.add(0, -1, 0, -20)
    assert (Presence(shared, 1).streams, Presence(shared, 0).streams) == (4, 0)


def test_another_life_begins_with_nothing() -> None:
    shared = shared_rows(2)
    counters, presence = SharedCounters(shared, 0, is_ordered=True), Presence(shared, 0)
    shared.begin(counters.open(row("a")._replace(slot=0)))
    counters.add(0, 1, 10, 20)
    presence.beat(7)
    shared.bury(0)
    assert (presence.fleet_version, presence.beats, presence.streams) == (-1, 0, 0)
    successor = SharedCounters(shared, 0, is_ordered=True)
    successor.add(successor.open(row("a")._replace(slot=0)), 1, 0, 0)
    assert presence.streams == 1


def test_what_has_ended_is_counted_by_network_and_in_all_and_outlives_the_worker() -> None:
    shared = shared_rows(2)
    presence = Presence(shared, 1)
    for network in (1, 2, 1, NETWORKS - 1):
        presence.connection_ended(network)
    shared.bury(1)
    successor = Presence(shared, 1)
    successor.connection_ended(2)
    assert [successor.ended_connections(network) for network in (1, 2, 3, NETWORKS - 1)] == [2, 2, 0, 1]
    assert successor.ended_connections() == 5
    assert Presence(shared, 0).ended_connections() == 0
