"""The policies that an operator can name."""

import difflib
import random
from importlib import import_module

from gateway.errors import SettingsError
from gateway.policies.base import Policy

__all__ = ["POLICIES", "build"]

POLICIES: dict[str, str] = {
    "least_connection": "gateway.policies.least_connection:LeastConnection",
    "random": "gateway.policies.random_choice:RandomChoice",
    "round_robin": "gateway.policies.round_robin:RoundRobin",
}
"""From name to class, as an import string: only what is chosen is imported."""


def build(name: str, rng: random.Random) -> Policy:
    """Make the policy of that name, or raise SettingsError."""
    if name not in POLICIES:
        near = difflib.get_close_matches(name, POLICIES, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SettingsError(f"policy: {name!r} is none of {', '.join(POLICIES)}{hint}")
    module, _, attribute = POLICIES[name].partition(":")
    return getattr(import_module(module), attribute)(rng)
