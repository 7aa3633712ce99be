import sys
from pathlib import Path

import pytest

from benchmarks import reports_cost
from benchmarks.reports_cost import HARDLY_EVER_MS, Case, Cost, report


def test_a_report_costs_what_is_left_after_the_connections_share() -> None:
    quiet, busy = Case(100, HARDLY_EVER_MS), Case(100, 100)
    costs = {quiet: [Cost(0.01, 0.01)], busy: [Cost(0.11, 0.02), Cost(0.21, 0.03), Cost(0.9, 0.04)]}
    assert report(costs).splitlines()[2:] == [
        "| 100 | 0 | 1.0 | 1.0 |  |  |",
        "| 100 | 1000 | 21.0 | 3.0 | 200 | 20 |",
    ]


@pytest.mark.e2e
def test_what_a_gateway_takes_whose_replicas_report_stands_in_the_page(
    page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports_cost, "WARM_UP_S", 0.0)
    monkeypatch.setattr(reports_cost, "CASES", (Case(5, HARDLY_EVER_MS), Case(5, 20)))
    monkeypatch.setattr(sys, "argv", ["reports_cost", "--seconds", "1", "--runs", "1", "--write", str(page)])
    reports_cost.main()
    _, _, written = page.read_text(encoding="utf-8").partition("<!-- reports: written by make bench-reports -->")
    written, end, _ = written.partition("<!-- reports: end -->")
    assert end
    assert "medians of 1 runs of 1 s" in written
    quiet, busy = (line.split(" | ") for line in written.splitlines() if line.startswith("| 5 "))
    assert (quiet[1], busy[1]) == ("0", "250")
    assert float(busy[2]) > 0
    assert float(busy[3]) > 0
