"""Which modules this process has: the compiled ones where `make test-compiled` says so, else their sources."""

import os
from importlib import import_module

import pytest

from scripts.compile_hot_loop import HOT

IS_COMPILED = "build/compiled" in os.environ.get("PYTHONPATH", "")


@pytest.mark.parametrize("path", HOT)
def test_a_module_of_the_hot_loop_is_what_was_asked_for(path: str) -> None:
    module = import_module(path.removesuffix(".py").replace("/", "."))
    assert module.__file__ is not None
    assert module.__file__.endswith(".so") == IS_COMPILED
