"""The benchmarks still run, on fleets too small to measure."""

import pytest

from benchmarks import prefix_cost
from benchmarks.dispatch_cost import BEGIN, END, POLICY_NAMES, Deciding, measure, written


@pytest.mark.parametrize("policy", POLICY_NAMES)
def test_measures_every_policy(policy: str) -> None:
    deciding = Deciding(policy, 2)
    assert measure(deciding.pick, requests=5, runs=2)
    assert measure(deciding.dispatch, requests=5, runs=2)


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
