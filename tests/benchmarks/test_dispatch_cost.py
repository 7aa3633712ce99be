"""The benchmarks still run, on fleets too small to measure."""

import gc

import pytest

from benchmarks import prefix_cost
from benchmarks.dispatch_cost import BEGIN, END, FLEETS, PICKS, POLICY_NAMES, Deciding, run_times_us, sweep, written


@pytest.mark.parametrize("policy", POLICY_NAMES)
def test_measures_every_policy(policy: str) -> None:
    deciding = Deciding(policy, 2)
    assert len(run_times_us(deciding.pick, requests=5, runs=2)) == 2
    assert len(run_times_us(deciding.dispatch, requests=5, runs=2)) == 2


def test_a_row_has_a_cell_for_each_size() -> None:
    rows = sweep(["random", "least_work"], requests=1, runs=1)
    gc.unfreeze()
    assert [row[0] for row in rows] == ["`random`", "`least_work`"]
    assert {len(row) for row in rows} == {1 + len(PICKS) + len(FLEETS)}


def test_only_what_is_between_the_marks_is_written() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter"
    new = written(page, [["policy", "pick"], ["`random`", "1.0 (1.1)"]], runs=1)
    assert new.startswith(f"before\n{BEGIN}\n")
    assert new.endswith(f"| policy | pick |\n|---|---|\n| `random` | 1.0 (1.1) |\n\n{END}\nafter")
    with pytest.raises(ValueError, match="no place"):
        written("a page without marks", [["policy"]], runs=1)


def test_measures_the_prefix_index() -> None:
    index = prefix_cost.Index(2)
    prompts = [next(index.prompts(4_096)) for _ in range(2)]
    for work in (index.hash, index.ask, index.lease):
        assert prefix_cost.measure(work, prompts)
