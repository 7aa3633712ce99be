import shutil
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """A copy of the page that benchmarks write into."""
    return Path(shutil.copy(PAGE, tmp_path))
