"""The benchmarks still run, on fleets too small to measure."""

import gc

import pytest

from benchmarks import prefix_cost
from benchmarks.dispatch_cost import COLUMNS, POLICY_NAMES, Deciding, measure, report, run_times_us, table


@pytest.mark.parametrize("policy", POLICY_NAMES)
def test_measures_every_policy(policy: str) -> None:
    deciding = Deciding(policy, 2)
    assert len(run_times_us(deciding.pick, requests=5, runs=2)) == 2
    assert len(run_times_us(deciding.dispatch, requests=5, runs=2)) == 2


def test_a_row_has_a_cell_for_each_size() -> None:
    times = measure(["random", "least_work"], requests=1, runs=2)
    gc.unfreeze()
    head, *rows = table(times)
    assert head == ["policy", *COLUMNS]
    assert [row[0] for row in rows] == ["`random`", "`least_work`", "ten turns"]
    assert all(all(row[1:]) for row in rows[:2])
    assert len(times["`random`"]["pick 8"]) == 2


def test_the_report_has_a_table_for_each_build() -> None:
    text = report({"Interpreted": {"`random`": {COLUMNS[0]: [1.0, 1.2]}}})
    assert "\n\nInterpreted:\n\n| policy | pick 8 |" in text
    assert text.endswith("|---|---|---|---|---|\n| `random` | 1.0 (1.1) |  |  |  |")


def test_measures_the_prefix_index() -> None:
    index = prefix_cost.Index(2)
    prompts = [next(index.prompts(4_096)) for _ in range(2)]
    for work in (index.hash, index.ask, index.lease):
        assert prefix_cost.measure(work, prompts)
