import sys
from pathlib import Path

import pytest

from benchmarks import prefix_cost


def test_every_size_and_fleet_has_its_row_in_the_page(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["prefix_cost", "--runs", "1", "--write", str(page)])
    prefix_cost.main()
    _, _, written = page.read_text(encoding="utf-8").partition("<!-- prefix: written by make bench-prefix -->")
    written, end, _ = written.partition("<!-- prefix: end -->")
    assert end
    assert "CPU us, lowest of 1 runs (median). Other processes took" in written
    rows = [line.split(" | ")[:2] for line in written.splitlines() if "KB" in line]
    assert rows == [[f"| {size} KB", fleet] for fleet in ("8", "1,000") for size in (2, 32, 400)]
    assert "Bytes a block: " in written
