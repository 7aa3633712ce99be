import random
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.errors import SettingsError
from gateway.policies import POLICIES, build
from gateway.policies.finding import split
from gateway.policies.power_of_two import PowerOfTwo
from gateway.types import View
from tests.gateway.fleets import Cached, facts, view

POLICY = """
from gateway.policies.least import LeastLoad

class MostRequests(LeastLoad):
    def __init__(self, rng, *, factor: float = 1.0) -> None:
        super().__init__(rng)
        self.factor = factor

    def load(self, facts, view, now_s):
        return -self.factor * view.requests

class NoPolicy:
    def __init__(self, rng) -> None:
        pass

class Failing:
    def __init__(self, rng) -> None:
        raise OSError("no such table")

number = 3
"""
VIEWS = [view("a", 1), view("b", 5), view("c", 3)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_policy.py"
    path.write_text(POLICY)
    return path


def test_names_are_split_at_colons_but_not_inside_that_of_a_file() -> None:
    assert split("power_of_two:least_work") == ["power_of_two", "least_work"]
    assert split("power_of_two:./a/b.py:C:d") == ["power_of_two", "./a/b.py:C", "d"]
    assert split("x.py:X") == ["x.py:X"]
    assert split("a:") == ["a", ""]


def test_a_policy_in_a_file_is_used(file: Path) -> None:
    picked = build(f"{file}:MostRequests", random.Random(0)).pick(facts(), VIEWS, 0.0)
    assert isinstance(picked, View)
    assert picked.id == "b"


def test_the_load_of_a_policy_in_a_file_works_with_power_of_two(file: Path) -> None:
    policy = build(f"power_of_two:{file}:MostRequests", random.Random(0), {"choices": 3, "factor": 2})
    picked = policy.pick(facts(), VIEWS, 0.0)
    assert isinstance(picked, View)
    assert picked.id == "b"


def test_the_policy_of_an_installed_package_is_used(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(tmp_path, "most_requests = my_policy:MostRequests")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "my_policy", raising=False)
    assert type(build("most_requests", random.Random(0))).__name__ == "MostRequests"
    assert "did you mean most_requests?" in error("most_request")


def test_a_package_that_cannot_be_imported_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(tmp_path, "absent = not_there_at_all:Policy")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    why = "ModuleNotFoundError: No module named 'not_there_at_all'"
    assert error("absent") == f"policy: absent (not_there_at_all:Policy): {why}"


def offer(folder: Path, line: str) -> None:
    metadata = folder / "a_package-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: a-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[inference_gateway.policies]\n{line}\n")


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import nothing_like_it\n", ":1: ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("x = 1\nclass P(:\n", ":2: SyntaxError: invalid syntax"),
        ("x = 1\ny = 1 / 0\n", ":2: ZeroDivisionError: division by zero"),
        ("raise SystemExit\n", ":1: SystemExit"),
    ],
)
def test_a_broken_file_is_one_line_that_says_where(tmp_path: Path, source: str, complaint: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(source)
    assert error(f"{path}:P") == f"policy: {path}{complaint}"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("Absent", ": there is no Absent in it"),
        ("NoPolicy", " is no policy: it has no method pick"),
        ("Failing", ": OSError: no such table"),
        ("number", " is no class"),
    ],
)
def test_what_is_no_policy_is_one_clear_line(file: Path, name: str, complaint: str) -> None:
    assert error(f"{file}:{name}") == f"policy: {file}:{name}{complaint}"


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    assert error(f"{tmp_path}/none.py:P") == f"policy: {tmp_path}/none.py: no such file or directory"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("round-robin", "; did you mean round_robin?"),
        ("rondom", "; did you mean random?"),
        ("./mine.py", "; did you mean ./mine.py:CLASS?"),
        ("qwerty", ""),
        ("", ""),
    ],
)
def test_an_unknown_name_is_one_clear_line(name: str, hint: str) -> None:
    assert error(name) == f"policy: {name!r} is none of {', '.join(POLICIES)}{hint}"


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("power_of_two:round_robin", "policy: power_of_two: RoundRobin has no load to compare by"),
        ("round_robin:random", "policy: round_robin takes no other policy"),
        ("power_of_two:rondom", f"policy: 'rondom' is none of {', '.join(POLICIES)}; did you mean random?"),
    ],
)
def test_what_does_not_compose_is_one_clear_line(spec: str, complaint: str) -> None:
    assert error(spec) == complaint


def test_options_reach_the_policy_that_has_them() -> None:
    policy = build("power_of_two:sticky_until_saturated", random.Random(0), {"choices": 3, "release_tokens": 5})
    assert isinstance(policy, PowerOfTwo)
    cached = replace(facts(prompt_tokens=100), prefix=Cached(b=90))
    policy = build("sticky_until_saturated", random.Random(0), {"release_tokens": 5})
    busy = [view("a"), replace(view("b"), prefill_tokens=96)]
    assert policy.pick(cached, busy, 0.0) is busy[0]
    assert build("sticky_until_saturated", random.Random(0)).pick(cached, busy, 0.0) is busy[1]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"gate": 1.5}, "policy_options.gate: expected float <= 1.0"),
        ({"gate": "high"}, "policy_options.gate: expected float, got str"),
        ({"gat": 0.5}, "policy_options.gat: sticky_until_saturated has no such option; did you mean gate?"),
        ({"zzz": 0.5}, "policy_options.zzz: sticky_until_saturated has no such option"),
    ],
)
def test_an_option_that_cannot_be_is_one_clear_line(options: dict[str, object], complaint: str) -> None:
    assert error("sticky_until_saturated", options) == complaint


def error(spec: str, options: dict[str, object] | None = None) -> str:
    with pytest.raises(SettingsError) as raised:
        build(spec, random.Random(0), options)
    return str(raised.value)
