"""The policies that settings choose: the gateway's own, and those of routes that have another."""

import random
from collections.abc import Mapping
from typing import Any, NamedTuple

from gateway.config import Settings
from gateway.errors import SettingsError
from gateway.policies import build
from gateway.policies.base import Policy
from gateway.policies.zone_aware import ZoneAware

__all__ = ["Chosen", "choose", "is_same_choice"]


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
