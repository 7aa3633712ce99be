"""The benchmark still runs, on a fleet too small to measure."""

import pytest

from benchmarks.dispatch_cost import dispatcher, run
from gateway.policies import POLICIES
from gateway.types import Facts


@pytest.mark.parametrize("policy", POLICIES)
def test_measures_every_policy(policy: str) -> None:
    assert run(dispatcher(policy, 2), Facts("/a.B/C", "model"), in_flight=2, requests=10) > 0
