"""The Python of tutorials runs."""

import random
import re
import runpy
from pathlib import Path

import pytest

from gateway.policies import build
from tests.gateway.fleets import facts, view

DOCS = Path(__file__).parent.parent / "docs"
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["adding-a-policy.md"])
def test_the_python_of_a_tutorial_runs(page: str, tmp_path: Path) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = list(PYTHON.finditer(text))
    assert blocks
    lines = [""] * len(text.splitlines())
    for block in blocks:
        # At the page's own line numbers, so that a failure points into the page.
        first = text.count("\n", 0, block.start(1))
        code = block[1].splitlines()
        lines[first : first + len(code)] = code
    program = tmp_path / "page.py"
    program.write_text("\n".join(lines), encoding="utf-8")
    runpy.run_path(str(program))


@pytest.mark.parametrize("page", ["adding-a-policy.md"])
def test_what_a_tutorial_points_at_is_there(page: str) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", (DOCS / page).read_text(encoding="utf-8"))
    assert targets
    assert [target for target in targets if not (DOCS / target).exists()] == []


def test_the_policy_of_the_tutorial_works_from_a_file_and_composes(tmp_path: Path) -> None:
    first = PYTHON.search((DOCS / "adding-a-policy.md").read_text(encoding="utf-8"))
    assert first
    file = tmp_path / "fewest_tokens.py"
    file.write_text(first[1], encoding="utf-8")
    for spec in (f"{file}:FewestTokens", f"power_of_two:{file}:FewestTokens"):
        policy = build(spec, random.Random(1), {"cached_share": 0.5})
        views = [view("long")._replace(context_tokens=20_000), view("short")._replace(context_tokens=900)]
        assert policy.pick(facts(prompt_tokens=10), views, 0.0) is views[1]
