import sys
from pathlib import Path

import pytest

from benchmarks import http2_cost
from benchmarks.http2_cost import SHAPES, report


def test_the_median_stands_before_the_lowest_and_the_highest() -> None:
    assert report({"a call": [3.0, 1.0, 2.5]}).splitlines()[2:] == ["| a call | 2.50 | 1.00 | 3.00 |"]


def test_every_shape_has_its_row_in_the_page(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2_cost, "FRAMES", 2_048)
    monkeypatch.setattr(sys, "argv", ["http2_cost", "--runs", "1", "--write", str(page)])
    http2_cost.main()
    _, _, written = page.read_text(encoding="utf-8").partition("<!-- http2: written by make bench-http2 -->")
    written, end, _ = written.partition("<!-- http2: end -->")
    assert end
    rows = [line.split(" | ")[0] for line in written.splitlines() if line.startswith("| a ")]
    assert rows == [*(f"| a frame, {shape[0]}" for shape in SHAPES), "| a call"]
