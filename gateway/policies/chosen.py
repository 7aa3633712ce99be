"""The policies that settings choose: the gateway's own, and those of routes that have another."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gateway.config import Settings, ShadowSettings
from gateway.errors import SettingsError
from gateway.policies import build
from gateway.policies.base import Policy
from gateway.policies.zone_aware import ZoneAware

__all__ = ["Chosen", "choose", "choose_shadows", "is_same_choice", "shadows_of"]


class Chosen(NamedTuple):
    own: Policy
    by_route: Mapping[str, Policy]


def choose(settings: Settings, rng: random.Random) -> Chosen:
    """Make them, each with a state of its own. Raises SettingsError."""
    made: dict[str, Policy] = {}
    for at, (name, policy, options) in enumerate(_named(settings)):
        try:
            made[name] = _zoned(build(policy, rng, options), settings)
        except SettingsError as error:
            raise SettingsError(f"routes[{at - 1}].{error}" if at else str(error)) from error
    return Chosen(made.pop(""), made)


def choose_shadows(settings: Settings, rng: random.Random) -> Mapping[str, Mapping[str, Policy]]:
    """Make those in the shadow, by route and name: the gateway's own, under no name, and those of routes that name
    some. Nothing where no setting names any. Raises SettingsError."""
    named = shadows_of(settings)
    if not any(named.values()):
        return {}
    try:
        return {route: _shadows(listed, settings, rng) for route, listed in named.items()}
    except SettingsError as error:
        raise SettingsError(f"shadow: {error}") from error


def shadows_of(settings: Settings) -> Mapping[str, Sequence[str | ShadowSettings]]:
    """Return what is asked beside the live policy, by route; the gateway's own under no name."""
    return {"": settings.shadow} | {route.name: route.shadow for route in settings.routes if route.shadow}


def is_same_choice(old: Settings, new: Settings) -> bool:
    """Whether `choose` would make the same, so that what policies remember can stay."""
    return old.zone == new.zone and _named(old) == _named(new)


def _named(settings: Settings) -> list[tuple[str, str, dict[str, Any]]]:
    """Return route, policy and its options; the gateway's own under no name."""
    own = settings.policy, settings.policy_options
    routed = ((route.name, route.policy, route.policy_options) for route in settings.routes)
    return [("", *own), *((name, policy, options) if policy else (name, *own) for name, policy, options in routed)]


def _shadows(listed: Sequence[str | ShadowSettings], settings: Settings, rng: random.Random) -> Mapping[str, Policy]:
    made: dict[str, Policy] = {}
    for each in listed:
        shadow = ShadowSettings(policy=each) if isinstance(each, str) else each
        name = shadow.name or shadow.policy
        if name in made:
            raise SettingsError(f"two are called {name}: give one another name")
        made[name] = _zoned(build(shadow.policy, random.Random(rng.random()), shadow.policy_options), settings)
    return made


def _zoned(policy: Policy, settings: Settings) -> Policy:
    return ZoneAware(policy, settings.zone) if settings.zone.name else policy
