"""Policies in the shadow: they are asked what the live policy is asked, and nobody goes where they say."""

import logging
import random
from collections.abc import Mapping, Sequence

from gateway.config import Settings
from gateway.dispatch.prediction import first_token_times
from gateway.errors import SettingsError
from gateway.metrics import Registry
from gateway.policies.base import Policy
from gateway.policies.chosen import choose_shadows, shadows_of
from gateway.types import Facts, View

__all__ = ["LIVE", "Shadows"]

_log = logging.getLogger(__name__)

LIVE = "live"
"""The label of the policy that decides."""


class Shadows:
    """By route, then by name. Their regret is the predicted time to first token of their choice, over the least of all
    candidates: of the live policy too, so that they can be compared."""

    def __init__(self, registry: Registry) -> None:
        self.by_route: Mapping[str, Mapping[str, Policy]] = {}
        """Empty: nothing is compared."""
        name = "inference_gateway_shadow_".__add__
        self._choices = registry.counter(
            name("choices_total"),
            "Dispatches that a shadow policy saw: its choice was the same, other, none, or it failed.",
            "route",
            "policy",
            "result",
        )
        self._regret_s = registry.counter(
            name("regret_seconds_total"),
            "Predicted time to first token of choices, over that of the best candidate.",
            "route",
            "policy",
        )
        self._predictions = registry.counter(
            name("predictions_total"), "Choices whose regret was counted.", "route", "policy"
        )
        self._seen_s = registry.counter(name("seen_seconds_total"), "Times to first token, seen.").child
        self._expected_s = registry.counter(name("expected_seconds_total"), "The same, predicted.").child
        self._error_s = registry.counter(name("error_seconds_total"), "Seen less predicted, without sign.").child
        self._seen = registry.counter(name("seen_total"), "First tokens seen that were predicted.").child
        self._chosen: object = None
        self._defects: set[tuple[str, str]] = set()

    def use(self, settings: Settings, rng: random.Random) -> None:
        """Take over those that settings name; what they remember of other requests stays, where they stay the same."""
        chosen = settings.zone, shadows_of(settings)
        if chosen == self._chosen:
            return
        self._chosen = chosen
        try:
            self.by_route = choose_shadows(settings, rng)
        except SettingsError as error:  # control has tried them; a file may have changed since
            self.by_route = {}
            _log.error("no shadow policies: %s", error)

    def compare(self, facts: Facts, views: Sequence[View], choice: View, now_s: float) -> float:
        """Ask them all, before `choice` is leased. Return the predicted time to first token of `choice`."""
        times = first_token_times(facts, views)
        least_s = min(times)
        expected = {view.id: time_s for view, time_s in zip(views, times, strict=True)}
        route = facts.route.name
        for name, policy in self.by_route.get(route, self.by_route[""]).items():
            picked = self._ask(name, policy, facts, views, now_s)
            if isinstance(picked, View) and any(picked is view for view in views):
                self._choices.child(route, name, "same" if picked is choice else "other").add()
                self._regretted(route, name, expected[picked.id] - least_s)
            elif picked is not None:
                self._choices.child(route, name, "none").add()
        self._regretted(route, LIVE, expected[choice.id] - least_s)
        return expected[choice.id]

    def first_token(self, expected_s: float, seen_s: float) -> None:
        """A first token came whose time `compare` had predicted."""
        self._seen().add()
        self._seen_s().add(seen_s)
        self._expected_s().add(expected_s)
        self._error_s().add(abs(seen_s - expected_s))

    def _ask(self, name: str, policy: Policy, facts: Facts, views: Sequence[View], now_s: float) -> object:
        """None: it is broken, which is nobody else's harm."""
        try:
            return policy.pick(facts, tuple(views), now_s)  # a copy: the live list is not theirs to change
        except Exception as error:  # noqa: BLE001 (a policy is anybody's code)
            self._choices.child(facts.route.name, name, "failed").add()
            defect = name, type(error).__name__
            if defect not in self._defects:
                self._defects.add(defect)
                _log.error("the shadow policy %s raised %s; logged once", *defect, exc_info=error)
            return None

    def _regretted(self, route: str, name: str, regret_s: float) -> None:
        self._regret_s.child(route, name).add(regret_s)
        self._predictions.child(route, name).add()
