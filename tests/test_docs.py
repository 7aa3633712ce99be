"""The Python of tutorials runs."""

import random
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.control.usable import check_usable
from gateway.policies import build
from gateway.settings_file import load_settings
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


def test_every_setting_stands_in_the_page_of_the_configuration() -> None:
    command = [sys.executable, "scripts/configuration_page.py", "--check"]
    checked = subprocess.run(command, cwd=DOCS.parent, check=False, timeout=60)
    assert checked.returncode == 0, "run scripts/configuration_page.py"


@pytest.mark.parametrize("page", ["configuration.md", "discovery.md"])
def test_the_settings_in_a_page_can_be_used(page: str, tmp_path: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    settings = [block for block in blocks if not block.startswith(("apiVersion", "- "))]
    assert settings
    for block in settings:
        file = tmp_path / "gateway.yaml"
        file.write_text(block)
        check_usable(load_settings(file))
