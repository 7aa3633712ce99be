"""typings/vllm, by which the engine is type-checked, says nothing that the installed vLLM does not have."""

import ast
import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

STUBS = Path(__file__).parent.parent.parent / "typings"


def module_of(stub: Path) -> str:
    return ".".join(stub.relative_to(STUBS).with_suffix("").parts).removesuffix(".__init__")


def declarations() -> Iterator[tuple[str, str, ast.stmt]]:
    for stub in sorted((STUBS / "vllm").rglob("*.pyi")):
        for node in ast.parse(stub.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield from ((module_of(stub), node.name, member) for member in node.body)
            elif isinstance(node, ast.FunctionDef):
                yield module_of(stub), "", node


def name_of(node: ast.stmt) -> str:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
            return name
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case _:
            return ""


DECLARED = [each for each in declarations() if name_of(each[2])]


@pytest.mark.parametrize(
    ("module", "owner", "node"), DECLARED, ids=[f"{module}:{owner}.{name_of(node)}" for module, owner, node in DECLARED]
)
def test_vllm_has(module: str, owner: str, node: ast.stmt) -> None:
    holder: Any = import_module(module)
    if owner:
        holder = getattr(holder, owner)
    name = name_of(node)
    assert hasattr(holder, name) or is_instance_attribute(holder, name)
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and callable(getattr(holder, name)):
        check_parameters(getattr(holder, name), node)


def is_instance_attribute(holder: type, name: str) -> bool:
    return any(
        name in vars(base).get("__annotations__", {}) or f"self.{name}" in inspect.getsource(base)
        for base in holder.__mro__
        if base.__module__.startswith("vllm")
    )


def check_parameters(function: Any, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    taken = inspect.signature(function).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        return
    named = {argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]} - {"self", "cls"}
    assert named <= taken.keys()
