import logging
import random
from collections.abc import Callable, Sequence

import pytest

from gateway.config import RouteSettings, Settings, ShadowSettings
from gateway.dispatch.shadow import LIVE, Shadows
from gateway.errors import SettingsError
from gateway.fleet.leases import Lease
from gateway.metrics import Registry
from gateway.policies.base import Policy
from gateway.policies.chosen import choose_shadows
from gateway.types import View, Wait
from tests.gateway.dispatch.test_dispatch import Scripted
from tests.gateway.fleets import Deciding, facts, row

TOKENS = 1_000
"""0.1 s, where no replica has answered yet."""


class Watched:
    """A live policy that always picks a, and others in its shadow."""

    def __init__(self, **shadows: Policy) -> None:
        self.registry = Registry()
        self.deciding = Deciding(row("a"), row("b"), policy=Scripted(lambda views: views[0]))
        self.shadows = self.deciding.dispatcher.shadows = Shadows(self.registry)
        self.shadows.by_route = {"": shadows} if shadows else {}
        self.deciding.ledger.on_expected = self.shadows.first_token

    def dispatch(self, now_s: float = 0.0) -> Lease:
        lease = self.deciding.dispatcher.dispatch(facts(prompt_tokens=TOKENS), now_s)
        assert isinstance(lease, Lease)
        assert lease.replica_id == "a"
        return lease

    def counted(self, name: str) -> dict[tuple[str, ...], float]:
        """Values by labels, without the route, which is always the default one."""
        families = {family.name: family for family in self.registry.dump()}
        family = families.get(f"inference_gateway_shadow_{name}_total")
        return {sample.labels[1:]: sample.values[0] for sample in family.samples} if family else {}


def scripted(pick: Callable[[Sequence[View]], object]) -> Scripted:
    return Scripted(pick)


def test_choices_are_compared_and_nobody_follows_them() -> None:
    watched = Watched(first=scripted(lambda views: views[0]), last=scripted(lambda views: views[-1]))
    for _ in range(3):
        watched.dispatch()
    assert watched.counted("choices") == {("first", "same"): 3, ("last", "other"): 3}


def test_regret_is_the_predicted_time_over_that_of_the_best_candidate() -> None:
    watched = Watched(last=scripted(lambda views: views[-1]))
    for _ in range(3):
        watched.dispatch()
    # a has 0, 1,000 and 2,000 tokens ahead of the request; b none.
    assert watched.counted("regret") == {}
    assert watched.counted("regret_seconds") == {(LIVE,): pytest.approx(0.3), ("last",): 0.0}
    assert watched.counted("predictions") == {(LIVE,): 3, ("last",): 3}


def test_what_was_predicted_is_held_against_what_is_seen() -> None:
    watched = Watched(last=scripted(lambda views: views[-1]))
    lease = watched.dispatch(now_s=5.0)
    lease.first_token(5.25)
    lease.first_token(9.0)
    assert watched.counted("seen") == {(): 1}
    assert watched.counted("seen_seconds") == {(): pytest.approx(0.25)}
    assert watched.counted("expected_seconds") == {(): pytest.approx(0.1)}
    assert watched.counted("error_seconds") == {(): pytest.approx(0.15)}


def raising(views: Sequence[View]) -> object:
    raise ZeroDivisionError("oh")


def clearing(views: Sequence[View]) -> object:
    views.clear()  # type: ignore[attr-defined]
    return None


@pytest.mark.parametrize("broken", [raising, clearing])
def test_a_broken_one_harms_nobody_and_is_logged_once(
    broken: Callable[[Sequence[View]], object], caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(broken=scripted(broken), last=scripted(lambda views: views[-1]))
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            watched.dispatch()
    assert watched.counted("choices") == {("broken", "failed"): 3, ("last", "other"): 3}
    assert len(caplog.records) == 1


def test_one_that_picks_nobody_has_no_regret() -> None:
    watched = Watched(waits=scripted(lambda views: Wait("all are full")))
    watched.dispatch()
    assert watched.counted("choices") == {("waits", "none"): 1}
    assert watched.counted("predictions") == {(LIVE,): 1}


def test_without_any_nothing_is_counted() -> None:
    watched = Watched()
    watched.dispatch().first_token(1.0)
    assert watched.registry.dump() == []


def test_those_that_stay_keep_what_they_remember() -> None:
    shadows, rng = Shadows(Registry()), random.Random(0)
    shadows.use(Settings(shadow=("round_robin",)), rng)
    kept = shadows.by_route
    shadows.use(Settings(shadow=("round_robin",), policy="random"), rng)
    assert shadows.by_route is kept
    shadows.use(Settings(), rng)
    assert shadows.by_route == {}
    shadows.use(Settings(shadow=("gone.py:Policy",)), rng)
    assert shadows.by_route == {}


def test_routes_have_their_own_or_the_gateways() -> None:
    settings = Settings(
        shadow=("random",), routes=(RouteSettings(name="gold", shadow=("slo", "lmetric")), RouteSettings(name="rest"))
    )
    made = choose_shadows(settings, random.Random(0))
    assert {route: list(shadows) for route, shadows in made.items()} == {"": ["random"], "gold": ["slo", "lmetric"]}
    assert choose_shadows(Settings(), random.Random(0)) == {}
    with pytest.raises(SettingsError, match=r"^shadow: policy: 'slow' is none of"):
        choose_shadows(Settings(shadow=("slow",)), random.Random(0))


def test_the_same_policy_is_compared_with_other_options_under_another_name() -> None:
    near = ShadowSettings(policy="prefix_affinity", policy_options={"bound": 1.1}, name="near")
    made = choose_shadows(Settings(shadow=("prefix_affinity", near)), random.Random(0))
    assert list(made[""]) == ["prefix_affinity", "near"]
    with pytest.raises(SettingsError, match=r"^shadow: two are called random: give one another name$"):
        choose_shadows(Settings(shadow=("random", ShadowSettings(policy="random"))), random.Random(0))
    with pytest.raises(SettingsError, match=r"^shadow: .*bound"):
        choose_shadows(
            Settings(shadow=(ShadowSettings(policy="prefix_affinity", policy_options={"bound": 0.1}),)),
            random.Random(0),
        )
