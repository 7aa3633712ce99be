import random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.config import ZoneSettings
from gateway.policies import build
from gateway.policies.zone_aware import ZoneAware
from gateway.types import LoadReport, View
from tests.gateway.fleets import facts, view

HOME = ZoneSettings(name="home", spill_requests=4.0, spill_ratio=1.5)


def at(zone: str, name: str, requests: int = 0, queued: float | None = None) -> View:
    load = LoadReport(queued, 0.0, 0.0, 0.0, 1, 0, 0.0) if queued is not None else None
    return replace(view(name, requests), zone=zone, load=load)


def zones_picked(views: list[View]) -> set[str]:
    policy = ZoneAware(build("random", random.Random(1)), HOME)
    return {choice.zone for _ in range(50) if isinstance(choice := policy.pick(facts(), views, 0.0), View)}


def test_its_own_zone_gets_all_while_it_has_room() -> None:
    assert zones_picked([at("home", "a", 3), at("home", "b", 4), at("away", "c")]) == {"home"}
    assert zones_picked([at("home", "a", 14), at("away", "c", 10)]) == {"home"}


def test_what_its_own_zone_has_no_room_for_goes_anywhere() -> None:
    assert zones_picked([at("home", "a", 4), at("away", "c")]) == {"home", "away"}
    assert zones_picked([at("home", "a", 16), at("away", "c", 10)]) == {"home", "away"}


def test_what_replicas_say_of_other_gateways_requests_counts() -> None:
    assert zones_picked([at("home", "a", queued=9.0), at("away", "c")]) == {"home", "away"}
    assert zones_picked([at("home", "a", queued=9.0), at("away", "c", queued=8.0)]) == {"home"}


def test_when_replicas_at_home_are_missing_the_others_help() -> None:
    both = [at("home", "a", 3), at("home", "b", 3), at("away", "c")]
    assert zones_picked(both) == {"home"}
    assert zones_picked([at("home", "a", 6), at("away", "c")]) == {"home", "away"}


def test_without_one_at_home_any_zone_will_do() -> None:
    assert zones_picked([at("away", "a"), at("", "b")]) == {"away", ""}


@given(st.lists(st.tuples(st.sampled_from(["home", "away"]), st.integers(0, 50)), min_size=1, max_size=12))
def test_it_always_picks_a_candidate(fleet: list[tuple[str, int]]) -> None:
    views = [at(zone, str(number), requests) for number, (zone, requests) in enumerate(fleet)]
    policy = ZoneAware(build("least_connection", random.Random(0)), HOME)
    assert policy.pick(facts(), views, 0.0) in views
