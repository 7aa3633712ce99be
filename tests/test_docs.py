"""The Python of tutorials runs, and links lead somewhere."""

import random
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks.staleness.simulation import Load, Simulation
from gateway.config import Settings
from gateway.control.usable import check_usable
from gateway.dispatch.shadow import Shadows
from gateway.fleet.leases import Lease
from gateway.metrics import Registry
from gateway.policies import build
from gateway.policies.chosen import choose
from gateway.policies.finding import GROUP
from gateway.settings_file import load_settings
from tests.gateway.fleets import Deciding, facts, row, view

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = ["README.md", "CHANGELOG.md", *sorted(str(page.relative_to(ROOT)) for page in DOCS.rglob("*.md"))]
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


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_points_at_is_there(page: str) -> None:
    assert [str(target) for target in targets_of(ROOT / page) if not target.exists()] == []


def test_readme_leads_to_every_page() -> None:
    reached = {ROOT / "README.md"}
    while found := {target for page in reached for target in targets_of(page) if target.suffix == ".md"} - reached:
        reached |= found
    assert [page for page in PAGES if ROOT / page not in reached] == []


def targets_of(page: Path) -> list[Path]:
    """Return the files that a page's links name."""
    links: list[str] = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    return [(page.parent / link).resolve() for link in links]


def test_the_policy_of_the_tutorial_works_from_a_file_and_composes(tmp_path: Path) -> None:
    first = PYTHON.search((DOCS / "adding-a-policy.md").read_text(encoding="utf-8"))
    assert first
    file = tmp_path / "fewest_tokens.py"
    file.write_text(first[1], encoding="utf-8")
    for spec in (f"{file}:FewestTokens", f"power_of_two:{file}:FewestTokens"):
        policy = build(spec, random.Random(1), {"cached_share": 0.5})
        views = [replace(view("long"), context_tokens=20_000), replace(view("short"), context_tokens=900)]
        assert policy.pick(facts(prompt_tokens=10), views, 0.0) is views[1]


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The tutorial's policy as a package offers it: its step 1 and step 3, and nothing else. Returns its name."""
    page = (DOCS / "adding-a-policy.md").read_text(encoding="utf-8")
    code, entry_point = (
        PYTHON.search(page),
        re.search(r"^```toml\n\[.*\.policies\"\]\n(.*?)^```$", page, re.MULTILINE | re.DOTALL),
    )
    assert code
    assert entry_point
    package, metadata = tmp_path / "my_package", tmp_path / "my_package-1.dist-info"
    package.mkdir()
    metadata.mkdir()
    (package / "__init__.py").touch()
    (package / "fewest_tokens.py").write_text(code[1], encoding="utf-8")
    (metadata / "METADATA").write_text("Name: my_package\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(f"[{GROUP}]\n{entry_point[1].replace(chr(34), '')}")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "my_package", raising=False)
    return "fewest_tokens"


@pytest.mark.parametrize("outer", ["", "power_of_two:"])
def test_the_policy_of_the_tutorial_is_chosen_explained_shadowed_and_simulated(installed: str, outer: str) -> None:
    name = outer + installed
    settings = Settings(policy=name, policy_options={"cached_share": 0.5}, shadow=(name, "random"))
    check_usable(settings)
    deciding = Deciding(row("a"), row("b"), policy=choose(settings, random.Random(1)).own)
    shadows = deciding.dispatcher.shadows = Shadows(registry := Registry())
    shadows.use(settings, random.Random(1))
    request = facts(prompt_tokens=1_000)
    first = deciding.dispatcher.dispatch(request, 0.0)
    assert isinstance(first, Lease)
    explanation = deciding.dispatcher.explain(request, 1.0, frozenset[str]())
    assert explanation.compares
    assert {one.replica_id: one.load for one in explanation.considered}[first.replica_id] == 2_000
    second = deciding.dispatcher.dispatch(request, 1.0)
    assert isinstance(second, Lease)
    assert second.replica_id == explanation.replica_id != first.replica_id
    choices = next(family for family in registry.dump() if family.name == "inference_gateway_shadow_choices_total")
    assert sum(sample.values[0] for sample in choices.samples if sample.labels[1:] == (name, "same")) >= 1
    assert not [sample for sample in choices.samples if sample.labels[2] == "failed"]
    assert len(Simulation(name, 0.1, Load(requests=20, replicas=3)).run()) == 20


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
