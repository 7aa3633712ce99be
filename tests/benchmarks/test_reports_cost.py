import pytest

from benchmarks.reports_cost import HARDLY_EVER_MS, Case, Cost, measure, table


def test_a_report_costs_what_is_left_after_the_connections_share() -> None:
    quiet, busy = Case(100, HARDLY_EVER_MS), Case(100, 100)
    costs = {quiet: [Cost(0.01, 0.01)], busy: [Cost(0.11, 0.02), Cost(0.21, 0.03), Cost(0.9, 0.04)]}
    assert table(costs).splitlines()[2:] == [
        "| 100 | 0 | 1.0 | 1.0 |  |  |",
        "| 100 | 1000 | 21.0 | 3.0 | 200 | 20 |",
    ]


@pytest.mark.e2e
def test_measures_a_gateway_whose_replicas_report() -> None:
    cost = measure(Case(5, 20), seconds=1.0)
    assert cost.control > 0
    assert cost.worker > 0
