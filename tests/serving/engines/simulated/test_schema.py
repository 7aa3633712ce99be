import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.engines.simulated.schema import MAX_VALUES, UnsupportedSchema, example


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, {}),
        ({"type": "null"}, None),
        ({"type": "boolean"}, True),
        ({"type": "string"}, "word"),
        ({"type": "string", "maxLength": 2}, "wo"),
        ({"type": "string", "minLength": 6, "description": "long"}, "wordwo"),
        ({"type": "integer"}, 0),
        ({"type": "integer", "minimum": 2.5}, 3),
        ({"type": "integer", "maximum": -1.5}, -2),
        ({"type": "number"}, 0.5),
        ({"type": "number", "minimum": 1, "maximum": 2}, 1),
        ({"type": ["string", "null"]}, "word"),
        ({"type": "array", "items": {"type": "integer"}}, [0]),
        ({"type": "array", "items": {"const": 1}, "minItems": 3}, [1, 1, 1]),
        ({"type": "array", "items": {"const": 1}, "maxItems": 0}, []),
        ({"enum": ["b", "a"]}, "b"),
        ({"type": "string", "enum": ["b", "a"]}, "b"),
        ({"const": {"a": 1}}, {"a": 1}),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
        (
            {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}, "unit": {}},
                "required": ["city", "days"],
                "additionalProperties": False,
            },
            {"city": "word", "days": 1},
        ),
        ({"properties": {"a": {"type": "boolean"}, "b": {"type": "null"}}}, {"a": True, "b": None}),
    ],
)
def test_gives_a_value_that_the_schema_allows(schema: object, value: object) -> None:
    assert json.loads(example(json.dumps(schema))) == value


def test_a_tool_without_a_schema_takes_nothing() -> None:
    assert example("") == "{}"


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("nonsense", "not JSON"),
        ("[" * 100_000, "too deep"),
        ('{"items": ' * 500 + "{}" + ', "type": "array"}' * 500, "too deep"),
        ("7", "in place of an object"),
        ('{"type": "tuple"}', "type 'tuple'"),
        ('{"type": []}', "list of choices"),
        ('{"enum": []}', "list of choices"),
        ('{"type": "string", "pattern": "a+"}', "keyword 'pattern'"),
        ('{"type": "integer", "multipleOf": 3}', "keyword 'multipleOf'"),
        ('{"type": "integer", "minimum": "3"}', "in place of a number"),
        ('{"type": "integer", "minimum": 2, "maximum": 1}', "no value between"),
        ('{"type": "string", "minLength": 100000}', "more than 1000 characters"),
        ('{"oneOf": [{}]}', "keyword 'oneOf'"),
        ('{"properties": []}', "in place of an object"),
        ('{"required": 7}', "in place of names"),
        ('{"required": [{}]}', "in place of names"),
        ('{"const": NaN}', "not JSON"),
        ('{"type": "integer", "minimum": 1e999}', "in place of a number"),
    ],
)
def test_says_what_stands_in_the_way(schema: str, message: str) -> None:
    with pytest.raises(UnsupportedSchema, match=message):
        example(schema)


def test_has_an_end() -> None:
    schema = '{"type": "array", "minItems": 30, "items": ' * 3 + "{}" + "}" * 3
    with pytest.raises(UnsupportedSchema, match=f"more than {MAX_VALUES} values"):
        example(schema)


KEYWORDS = st.sampled_from(
    "type enum const anyOf properties required items minItems maxItems minLength maxLength minimum maximum".split()
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(("string", "integer", "number", "array", "object", "boolean", "null", "\ud800")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(KEYWORDS, VALUES, max_size=4))
def test_whatever_the_schema_says_it_is_json_or_a_refusal(schema: object) -> None:
    try:
        text = example(json.dumps(schema))
    except UnsupportedSchema:
        return
    json.loads(text.encode())
