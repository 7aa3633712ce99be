"""The settings as a JSON schema, for editors and for docs/configuration.md."""

import ast
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec

from gateway import config
from gateway.config.base import Strict


def schema() -> dict[str, Any]:
    """Return the schema of `gateway.config.Settings`, with the docstring of each setting as its description."""
    made = msgspec.json.schema(config.Settings)
    kinds = {kind.__name__: kind for kind in vars(config).values() if isinstance(kind, type)}
    for name, definition in made["$defs"].items():
        texts = help_texts(kinds[name])
        for field, found in definition["properties"].items():
            if field in texts:
                found["description"] = texts[field]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "inference-gateway", **made}


def help_texts(kind: type[Strict]) -> Mapping[str, str]:
    """Return the docstring below each field, its own and those that it inherits."""
    texts = dict[str, str]()
    for each in reversed(kind.__mro__):
        if issubclass(each, Strict):
            texts.update(_help_texts(each))
    return texts


def _help_texts(kind: type[Strict]) -> Iterator[tuple[str, str]]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(kind))).body
    assert isinstance(definition, ast.ClassDef)
    for field, text in pairwise(definition.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(str(words))):
                yield name, " ".join(words.split())
            case _:
                pass
