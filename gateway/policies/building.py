"""A policy from its name and options, checked before the first request."""

import inspect
import random
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, get_type_hints

import msgspec

from gateway.errors import SettingsError
from gateway.policies.base import Policy
from gateway.policies.finding import find, split

__all__ = ["build"]


def build(spec: str, rng: random.Random, options: Mapping[str, object] | None = None) -> Policy:
    """Make the policy called `spec`: a name, `FILE.py:CLASS`, or `outer:inner`, with options for any of them.

    Raises SettingsError, one line that begins with `policy` or `policy_options.NAME`.
    """
    options = options or {}
    classes = [(name, find(name)) for name in split(spec)]
    takes = {name: _options(name, made_by) for name, made_by in classes}
    _refuse_unknown(spec, options, {option for struct in takes.values() for option in struct.__struct_fields__})
    policy: Policy | None = None
    for name, made_by in reversed(classes):
        given = _convert({key: options[key] for key in takes[name].__struct_fields__ if key in options}, takes[name])
        policy = _make(name, made_by, [rng] if policy is None else [rng, policy], given)
    assert policy is not None
    return policy


def _make(name: str, made_by: Callable[..., Policy], arguments: list[Any], options: Mapping[str, object]) -> Policy:
    try:
        inspect.signature(made_by).bind(*arguments, **options)
    except TypeError as error:
        reason = "takes no other policy" if len(arguments) > 1 else f"cannot be made from rng and options: {error}"
        raise SettingsError(f"policy: {name} {reason}") from None
    try:
        policy = made_by(*arguments, **options)
    except Exception as error:
        why = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise SettingsError(f"policy: {name}: {why}") from error
    if not callable(getattr(policy, "pick", None)):
        raise SettingsError(f"policy: {name} is no policy: it has no method pick")
    return policy


def _options(name: str, made_by: Callable[..., Policy]) -> type[msgspec.Struct]:
    """Return the keyword arguments of a policy as a struct, which checks them."""
    if not callable(made_by):
        raise SettingsError(f"policy: {name} is no class")
    init = getattr(made_by, "__init__") if inspect.isclass(made_by) else made_by  # noqa: B009 (typed as object's own)
    try:
        hints = get_type_hints(init, include_extras=True)
        parameters = inspect.signature(made_by).parameters.values()
    except (NameError, TypeError, ValueError) as error:
        raise SettingsError(f"policy: {name} has options of no known type: {error}") from error
    keywords = [each for each in parameters if each.kind is each.KEYWORD_ONLY]
    return msgspec.defstruct(
        "Options",
        [
            (each.name, hints.get(each.name, Any), *([] if each.default is each.empty else [each.default]))
            for each in keywords
        ],
        forbid_unknown_fields=True,
        kw_only=True,
    )


def _convert(given: Mapping[str, object], struct: type[msgspec.Struct]) -> dict[str, object]:
    try:
        checked = msgspec.convert(given, struct)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        where = f"policy_options{where.rstrip('`')}"
        raise SettingsError(f"{where}: {what[:1].lower()}{what[1:].replace('`', '')}") from None
    return {field: getattr(checked, field) for field in struct.__struct_fields__}


def _refuse_unknown(spec: str, options: Mapping[str, object], known: set[str]) -> None:
    for name in options:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingsError(f"policy_options.{name}: {spec} has no such option{hint}")
