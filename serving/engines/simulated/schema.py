"""A value that a JSON schema allows, for schemas as tools have them."""

import json
from collections.abc import Callable, Mapping
from math import ceil, floor
from typing import TypeAlias, cast

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
Keywords: TypeAlias = Mapping[str, object]

MAX_DEPTH = 32
MAX_LENGTH = 1000
"""Of a string or an array that a schema may demand."""

_ANNOTATIONS = frozenset(("$schema", "title", "description", "default", "examples", "deprecated", "format", "strict"))


class UnsupportedSchema(ValueError):
    """No value is known here. The message says what in the schema stands in the way."""


def example(schema_json: str) -> str:
    """Return JSON text that the schema allows. An empty schema is how a tool says that it takes no arguments."""
    try:
        return json.dumps(_value(json.loads(schema_json or "{}"), 0), ensure_ascii=False)
    except (json.JSONDecodeError, RecursionError):
        raise UnsupportedSchema("not JSON") from None


def _value(schema: object, depth: int) -> Json:
    if depth > MAX_DEPTH:
        raise UnsupportedSchema(f"deeper than {MAX_DEPTH}")
    keywords = {name: value for name, value in _mapping(schema).items() if name not in _ANNOTATIONS}
    if "const" in keywords:
        return cast(Json, keywords["const"])
    if "enum" in keywords:
        return cast(Json, _first(keywords["enum"]))
    if keywords.keys() == {"anyOf"}:
        return _value(_first(keywords["anyOf"]), depth + 1)
    kind = keywords.pop("type", "object")
    kind = _first(cast(object, kind)) if isinstance(kind, list) else kind
    if not isinstance(kind, str) or kind not in _KINDS:
        raise UnsupportedSchema(f"type {kind!r}")
    make, allowed = _KINDS[kind]
    for name in keywords.keys() - allowed:
        raise UnsupportedSchema(f"keyword {name!r} beside type {kind!r}")
    return make(keywords, depth)


def _string(keywords: Keywords, _depth: int) -> Json:
    length = int(_clamp(4, keywords, "minLength", "maxLength"))
    return ("word" * MAX_LENGTH)[: _bounded(length)]


def _integer(keywords: Keywords, _depth: int) -> Json:
    low, high = (keywords.get(name) for name in ("minimum", "maximum"))
    bounds = {"low": low and ceil(_number_in(low)), "high": high and floor(_number_in(high))}
    return int(_clamp(0, {name: bound for name, bound in bounds.items() if bound is not None}, "low", "high"))


def _number(keywords: Keywords, _depth: int) -> Json:
    return _clamp(0.5, keywords, "minimum", "maximum")


def _array(keywords: Keywords, depth: int) -> Json:
    length = int(_clamp(1, keywords, "minItems", "maxItems"))
    return [_value(keywords.get("items", {}), depth + 1)] * _bounded(length)


def _object(keywords: Keywords, depth: int) -> Json:
    properties = _mapping(keywords.get("properties", {}))
    required = keywords.get("required")
    names = list(properties) if required is None else cast(list[str], required)
    return {name: _value(properties.get(name, {}), depth + 1) for name in names}


_KINDS: Mapping[str, tuple[Callable[[Keywords, int], Json], frozenset[str]]] = {
    "null": (lambda _keywords, _depth: None, frozenset()),
    "boolean": (lambda _keywords, _depth: True, frozenset()),
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
    if not isinstance(value, int | float):
        raise UnsupportedSchema(f"{value!r} in place of a number")
    return value


def _clamp(wish: float, keywords: Keywords, low: str, high: str) -> float:
    value = max(wish, _number_in(keywords[low])) if low in keywords else wish
    value = min(value, _number_in(keywords[high])) if high in keywords else value
    if low in keywords and value < _number_in(keywords[low]):
        raise UnsupportedSchema(f"no value between {low} and {high}")
    return value


def _bounded(length: int) -> int:
    if length > MAX_LENGTH:
        raise UnsupportedSchema(f"longer than {MAX_LENGTH}")
    return length
