"""The benchmarks still run, on fleets too small to measure."""

import gc

import pytest

from benchmarks.dispatch_cost import COLUMNS, POLICY_NAMES, Deciding, measure, report, run_times_us


@pytest.mark.parametrize("policy", POLICY_NAMES)
def test_measures_every_policy(policy: str) -> None:
    deciding = Deciding(policy, 2)
    assert len(run_times_us(deciding.pick, requests=5, runs=2)) == 2
    assert len(run_times_us(deciding.dispatch, requests=5, runs=2)) == 2


def test_a_row_has_a_cell_for_each_size() -> None:
    times = measure(["random", "least_work"], requests=1, runs=2)
    gc.unfreeze()
    assert list(times) == ["`random`", "`least_work`", "ten turns"]
    assert all(set(times[policy]) == set(COLUMNS) for policy in ("`random`", "`least_work`"))
    assert len(times["`random`"]["pick 8"]) == 2


def test_the_report_has_a_table_for_each_build() -> None:
    text = report({"Interpreted": {"`random`": {COLUMNS[0]: [1.0, 1.2]}}})
    assert "\n\nInterpreted:\n\n| policy | pick 8 |" in text
    assert text.endswith("| --- | --- | --- | --- | --- |\n| `random` | 1.0 (1.1) |  |  |  |")
