"""When a call is begun again."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.attempts import Attempts
from gateway.client.errors import ErrorDetails, InvalidRequest, NoReplicaReady
from gateway.client.options import CallOptions
from gateway.rpc.status import Code


class FakeClock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def not_ready(retry_after_s: float | None) -> NoReplicaReady:
    return NoReplicaReady(Code.UNAVAILABLE, "not ready", ErrorDetails(retry_after_s=retry_after_s))


def attempts(options: CallOptions, clock: FakeClock | None = None, seed: int = 1) -> Attempts:
    return Attempts(options, clock or FakeClock(), random.Random(seed))


def test_nothing_is_begun_again_unless_asked_for() -> None:
    error = not_ready(0.1)
    with pytest.raises(NoReplicaReady) as raised:
        attempts({}).wait_s(error)
    assert raised.value is error


def test_what_would_fail_again_is_not_begun_again() -> None:
    with pytest.raises(InvalidRequest):
        attempts({"retries": 9}).wait_s(InvalidRequest(Code.INVALID_ARGUMENT, "no"))


@given(retry_after_s=st.floats(0, 100), seed=st.integers())
def test_waits_as_long_as_asked_and_at_most_a_quarter_more(retry_after_s: float, seed: int) -> None:
    wait_s = attempts({"retries": 1}, seed=seed).wait_s(not_ready(retry_after_s))
    assert retry_after_s <= wait_s <= retry_after_s * 1.25


@given(seed=st.integers())
def test_without_advice_waits_longer_each_time_and_never_past_a_limit(seed: int) -> None:
    backoff = attempts({"retries": 12}, seed=seed)
    waits_s = [backoff.wait_s(not_ready(None)) for _ in range(12)]
    for wait_s, longest_s in zip(waits_s, [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, *[5.0] * 6], strict=True):
        assert longest_s / 2 <= wait_s <= longest_s


def test_the_time_spans_all_attempts() -> None:
    clock = FakeClock()
    limited = attempts({"retries": 5, "timeout_s": 10}, clock)
    assert limited.timeout_s() == 10
    clock.now_s = 4
    assert limited.timeout_s() == 6
    assert limited.wait_s(not_ready(1)) >= 1
    with pytest.raises(NoReplicaReady):
        limited.wait_s(not_ready(6))
    clock.now_s = 12
    assert limited.timeout_s() == 0


def test_no_time_is_no_limit() -> None:
    assert attempts({"timeout_s": None}).timeout_s() is None
