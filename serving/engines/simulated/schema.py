"""A value that a JSON schema allows, for schemas as tools have them."""

import json
from collections.abc import Callable, Iterator, Mapping
from math import ceil, floor, isfinite
from typing import TypeAlias, cast

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
Keywords: TypeAlias = Mapping[str, object]
Budget: TypeAlias = Iterator[int]
"""Gives one number for each value that may still be made."""

MAX_VALUES = 1000
"""In one example: arrays in arrays could demand any number."""
MAX_LENGTH = 1000
"""Of a string."""

_ANNOTATIONS = frozenset(("$schema", "title", "description", "default", "examples", "deprecated", "format", "strict"))


class UnsupportedSchema(Exception):
    """No value is known here. The message says what in the schema stands in the way."""


def example(schema_json: str) -> str:
    """Return JSON text that the schema allows. An empty schema is how a tool says that it takes no arguments."""
    try:
        schema = json.loads(schema_json or "{}")
        return json.dumps(_value(schema, iter(range(MAX_VALUES))), allow_nan=False)
    except ValueError:
        raise UnsupportedSchema("not JSON") from None
    except RecursionError:
        raise UnsupportedSchema("too deep") from None


def _value(schema: object, budget: Budget) -> Json:
    if next(budget, None) is None:
        raise UnsupportedSchema(f"demands more than {MAX_VALUES} values")
    keywords = {name: value for name, value in _mapping(schema).items() if name not in _ANNOTATIONS}
    if "const" in keywords:
        return cast(Json, keywords["const"])
    if "enum" in keywords:
        return cast(Json, _first(keywords["enum"]))
    if keywords.keys() == {"anyOf"}:
        return _value(_first(keywords["anyOf"]), budget)
    kind = keywords.pop("type", "object")
    kind = _first(cast(object, kind)) if isinstance(kind, list) else kind
    if not isinstance(kind, str) or kind not in _KINDS:
        raise UnsupportedSchema(f"type {kind!r}")
    make, allowed = _KINDS[kind]
    for name in keywords.keys() - allowed:
        raise UnsupportedSchema(f"keyword {name!r} beside type {kind!r}")
    return make(keywords, budget)


def _string(keywords: Keywords, _budget: Budget) -> Json:
    length = int(_clamp(4, keywords, "minLength", "maxLength"))
    if length > MAX_LENGTH:
        raise UnsupportedSchema(f"demands a string of more than {MAX_LENGTH} characters")
    return ("word" * MAX_LENGTH)[:length]


def _integer(keywords: Keywords, _budget: Budget) -> Json:
    low, high = (keywords.get(name) for name in ("minimum", "maximum"))
    bounds = {"low": low and ceil(_number_in(low)), "high": high and floor(_number_in(high))}
    return int(_clamp(0, {name: bound for name, bound in bounds.items() if bound is not None}, "low", "high"))


def _number(keywords: Keywords, _budget: Budget) -> Json:
    return _clamp(0.5, keywords, "minimum", "maximum")


def _array(keywords: Keywords, budget: Budget) -> Json:
    length = int(_clamp(1, keywords, "minItems", "maxItems"))
    return [_value(keywords.get("items", {}), budget) for _ in range(length)]


def _object(keywords: Keywords, budget: Budget) -> Json:
    properties = _mapping(keywords.get("properties", {}))
    names = keywords.get("required", list(properties))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in cast(list[object], names)):
        raise UnsupportedSchema(f"{names!r} in place of names")
    return {name: _value(properties.get(name, {}), budget) for name in cast(list[str], names)}


_KINDS: Mapping[str, tuple[Callable[[Keywords, Budget], Json], frozenset[str]]] = {
    "null": (lambda _keywords, _budget: None, frozenset()),
    "boolean": (lambda _keywords, _budget: True, frozenset()),
    "string": (_string, frozenset(("minLength", "maxLength"))),
    "integer": (_integer, frozenset(("minimum", "maximum"))),
    "number": (_number, frozenset(("minimum", "maximum"))),
    "array": (_array, frozenset(("items", "minItems", "maxItems"))),
    "object": (_object, frozenset(("properties", "required", "additionalProperties"))),
}
"""How to make a value of each type, and the keywords that this respects."""


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise UnsupportedSchema(f"{value!r} in place of an object")
    return cast(dict[str, object], value)


def _first(values: object) -> object:
    if not isinstance(values, list) or not values:
        raise UnsupportedSchema(f"{values!r} in place of a list of choices")
    return cast(list[object], values)[0]


def _number_in(value: object) -> float:
    if not isinstance(value, int | float) or not isfinite(value):
        raise UnsupportedSchema(f"{value!r} in place of a number")
    return value


def _clamp(wish: float, keywords: Keywords, low: str, high: str) -> float:
    value = max(wish, _number_in(keywords[low])) if low in keywords else wish
    value = min(value, _number_in(keywords[high])) if high in keywords else value
    if low in keywords and value < _number_in(keywords[low]):
        raise UnsupportedSchema(f"no value between {low} and {high}")
    return value
