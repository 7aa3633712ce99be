"""The policies that settings choose: the gateway's own, and those of routes that have another."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gateway.config import Settings
from gateway.errors import SettingsError
from gateway.policies import build
from gateway.policies.base import Policy
from gateway.policies.zone_aware import ZoneAware

__all__ = ["Chosen", "choose", "choose_shadows", "is_same_choice", "shadow_names"]


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
    named = shadow_names(settings)
    if not any(named.values()):
        return {}
    try:
        return {
            route: {name: _zoned(build(name, random.Random(rng.random())), settings) for name in names}
            for route, names in named.items()
        }
    except SettingsError as error:
        raise SettingsError(f"shadow: {error}") from error


def shadow_names(settings: Settings) -> Mapping[str, Sequence[str]]:
    return {"": settings.shadow} | {route.name: route.shadow for route in settings.routes if route.shadow}


def is_same_choice(old: Settings, new: Settings) -> bool:
    """Whether `choose` would make the same, so that what policies remember can stay."""
    return old.zone == new.zone and _named(old) == _named(new)


def _named(settings: Settings) -> list[tuple[str, str, dict[str, Any]]]:
    """Return route, policy and its options; the gateway's own under no name."""
    own = settings.policy, settings.policy_options
    routed = ((route.name, route.policy, route.policy_options) for route in settings.routes)
    return [("", *own), *((name, policy, options) if policy else (name, *own) for name, policy, options in routed)]


def _zoned(policy: Policy, settings: Settings) -> Policy:
    return ZoneAware(policy, settings.zone) if settings.zone.name else policy
