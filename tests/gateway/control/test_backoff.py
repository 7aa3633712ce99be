import random

from hypothesis import given
from hypothesis import strategies as st

from gateway.control.backoff import Backoff


@given(st.floats(0.01, 1), st.floats(1, 100), st.floats(0, 0.9), st.integers(0, 2_000))
def test_waits_grow_to_the_longest_and_stay_there(base_s: float, max_s: float, jitter: float, failures: int) -> None:
    backoff = Backoff(base_s, max_s, jitter, random.Random(0))
    waits = [backoff.next_s() for _ in range(failures + 1)]
    assert all(base_s * (1 - jitter) <= wait <= max_s * (1 + jitter) for wait in waits)
    plain = Backoff(base_s, max_s, 0.0, random.Random(0))
    steady = [plain.next_s() for _ in range(failures + 1)]
    assert steady == sorted(steady)
    plain.reset()
    assert plain.next_s() == base_s
