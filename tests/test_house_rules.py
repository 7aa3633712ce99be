"""House rules that no linter knows."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles

import pytest

from gateway.errors import Reason
from gateway.rpc.status import CODES

ROOT = Path(__file__).parent.parent
PRODUCT = ("gateway", "serving")
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
P90_FUNCTION_LINES = 30
# Written so that it does not match itself.
REGISTRY_HOSTS = re.compile(r"pypi[.]org|python[h]osted|npmjs[.](org|com)|download[.]pytorch")


def test_no_file_is_too_long_to_read_at_once() -> None:
    lines = {str(path): count for path in product_files() if (count := len(source(path).splitlines())) > MAX_FILE_LINES}
    assert lines == {}


def test_no_function_is_too_long_to_see_at_once() -> None:
    lengths = {where: length for path in product_files() for where, length in functions(path)}
    assert {where: length for where, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}
    assert quantiles(lengths.values(), n=10)[-1] <= P90_FUNCTION_LINES


@pytest.mark.parametrize("tree", PRODUCT)
def test_tests_mirror_the_tree(tree: str) -> None:
    folders = {path.parent.relative_to("tests") for path in tracked("tests") if path.is_relative_to(f"tests/{tree}")}
    assert {str(folder) for folder in folders if not (ROOT / folder).is_dir()} == set()


def test_no_tracked_file_names_a_package_registry() -> None:
    texts = {path: (ROOT / path).read_bytes().decode(errors="replace") for path in tracked(".")}
    assert [str(path) for path, text in texts.items() if REGISTRY_HOSTS.search(text)] == []


def test_the_newest_release_in_the_changelog_is_the_version_of_the_project() -> None:
    version = tomllib.loads(source(Path("pyproject.toml")))["project"]["version"]
    releases = re.findall(r"^## \[(\d[^]]*)\]", source(Path("CHANGELOG.md")), re.MULTILINE)
    assert releases[0] == version


def test_every_reason_is_explained_to_agents() -> None:
    page = source(Path("docs/errors.md"))
    assert [reason for reason in Reason if f"| `{reason}` | {CODES[reason].name} |" not in page] == []


@pytest.mark.parametrize("module", ["gateway.worker.__main__", "inference.v1.inference_pb2", "inference.v1.admin_pb2"])
def test_imports_without_grpcio(module: str) -> None:
    program = f"import sys; sys.modules['grpc'] = None; import {module}"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def product_files() -> list[Path]:
    """What people have written of the programs, relative to the root."""
    return [path for tree in PRODUCT for path in tracked(tree) if path.suffix == ".py"]


def tracked(folder: str) -> list[Path]:
    """Files that git has or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "-z", folder]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [path for name in listing.split("\0") if name and (ROOT / (path := Path(name))).is_file()]


def source(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Each function of a file with the lines of its body, without its docstring."""
    for node in ast.walk(ast.parse(source(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            code = node.body[1:] if ast.get_docstring(node) else node.body
            length = (node.end_lineno or node.lineno) - code[0].lineno + 1 if code else 0
            yield f"{path}:{node.lineno} {node.name}", length
