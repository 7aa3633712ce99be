"""Which route a request takes, and which model its replicas are asked for."""

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from gateway.config import AliasSettings, RouteSettings, Settings
from gateway.errors import Failure, Reason, Refused
from gateway.types import Facts, Route

__all__ = ["Routes"]

Fields = Iterable[tuple[bytes, bytes]]


class _Rule(NamedTuple):
    route: Route
    models: re.Pattern[str] | None
    """None: every model."""
    headers: Sequence[tuple[bytes, bytes]]
    """Name and value; `*` is any value."""

    def matches(self, names: Sequence[str], headers: Mapping[bytes, bytes]) -> bool:
        if self.models is not None and not any(map(self.models.fullmatch, names)):
            return False
        return all(name in headers if value == b"*" else headers.get(name) == value for name, value in self.headers)


class Routes:
    """All routes of the settings, in their order. Without any, one takes all requests."""

    def __init__(self, settings: Settings) -> None:
        self._rules = [_rule(route) for route in settings.routes]
        self._aliases: Mapping[str, AliasSettings] = settings.aliases
        self._default_model = settings.default_model
        self._is_plain = not (self._rules or self._aliases or self._default_model)

    def resolve(self, facts: Facts, fields: Fields) -> Facts:
        """Return the facts with their route, and with the model and adapter that replicas know.

        Raises Failure: ROUTE_NOT_FOUND, or INVALID_REQUEST where the request names an adapter and its alias another."""
        if self._is_plain:
            return facts
        asked = facts.model or (self._default_model if facts.model == "" else "")
        alias = self._aliases.get(asked)
        model, lora = (alias.model, alias.lora) if alias else (asked, "")
        if lora and facts.lora_name not in ("", lora):
            raise Failure(Reason.INVALID_REQUEST, f"{asked!r} is the adapter {lora!r}: leave lora_name empty")
        route = self._route(facts, [asked, model], fields)
        if facts.model is None:
            return replace(facts, route=route)
        facts = replace(facts, route=route, model=model, lora_name=lora or facts.lora_name)
        if facts.prefix is None:
            return facts
        # Two names of one model share its cache, and its tokenizer.
        prefix = facts.prefix.renamed(model, facts.lora_name)
        return replace(facts, prefix=prefix, prompt_tokens=prefix.tokens)

    def _route(self, facts: Facts, names: Sequence[str], fields: Fields) -> Route:
        if not self._rules:
            return facts.route
        headers = dict(fields)
        for rule in self._rules:
            if rule.matches(names, headers):
                return rule.route
        of = f" of the model {names[0]!r}" if names[0] else ""
        raise Refused(Reason.ROUTE_NOT_FOUND, f"no route takes requests{of} with this metadata")


def _rule(settings: RouteSettings) -> _Rule:
    patterns = "|".join(fnmatch.translate(model.replace("[", "[[]").replace("?", "[?]")) for model in settings.models)
    return _Rule(
        Route(settings.name, frozenset(settings.labels.items())),
        re.compile(patterns) if settings.models else None,
        [(name.encode(), value.encode()) for name, value in settings.headers.items()],
    )
