from collections.abc import Iterator

from msgspec.structs import replace

from gateway.fleet.counters import LocalCounters
from gateway.fleet.replica import Replica, Wanted
from gateway.fleet.views import Views
from tests.gateway.fleets import MODEL, row

WANTED = Wanted(MODEL)


class Shelf:
    """One replica, and how often somebody went through all of them."""

    def __init__(self) -> None:
        self.counters = LocalCounters()
        self.replica = Replica(row("a"), self.counters.open(row("a")))
        self.reads = 0

    def __iter__(self) -> Iterator[Replica]:
        self.reads += 1
        yield self.replica


def test_goes_through_the_fleet_once_for_a_model_until_the_candidates_change() -> None:
    shelf = Shelf()
    views = Views(shelf.counters)
    first = views.of(WANTED, shelf)
    views.touch(shelf.replica)
    assert views.of(WANTED, shelf) is first
    assert shelf.reads == 1
    views.forget()
    assert views.of(WANTED, shelf) is not first
    assert shelf.reads == 2


def test_keeps_nothing_of_models_that_nobody_serves_since_agents_can_invent_them() -> None:
    shelf = Shelf()
    views = Views(shelf.counters)
    assert len(views.of(Wanted("invented"), shelf)) == 0
    assert len(views.of(Wanted("invented"), shelf)) == 0
    assert shelf.reads == 2


def test_a_view_is_a_candidate_by_identity_so_that_an_old_one_is_none() -> None:
    shelf = Shelf()
    views = Views(shelf.counters)
    old = views.of(WANTED, shelf).views()[0]
    assert old in views.of(WANTED, shelf)
    shelf.counters.add(shelf.replica.slot, 1, 0, 0)
    views.touch(shelf.replica)
    assert old not in views.of(WANTED, shelf)
    assert replace(old, requests=1) == views.of(WANTED, shelf).views()[0]
