"""The benchmarks still run, on fleets too small to measure."""

import pytest

from benchmarks import prefix_cost
from benchmarks.dispatch_cost import POLICY_NAMES, Deciding, measure


@pytest.mark.parametrize("policy", POLICY_NAMES)
def test_measures_every_policy(policy: str) -> None:
    deciding = Deciding(policy, 2)
    assert measure(deciding.pick, requests=5, runs=2)
    assert measure(deciding.dispatch, requests=5, runs=2)


def test_measures_the_prefix_index() -> None:
    index = prefix_cost.Index(2)
    prompts = [next(index.prompts(4_096)) for _ in range(2)]
    for work in (index.hash, index.ask, index.lease):
        assert prefix_cost.measure(work, prompts)
