from hypothesis import given
from hypothesis import strategies as st

from gateway.http2.budget import Budget
from gateway.http2.limits import Rate

RATE = Rate(10, 2)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 4)), max_size=60))
def test_over_any_time_no_more_is_spent_than_the_burst_and_the_rate(turns: list[tuple[float, int]]) -> None:
    now_s = 0.0
    budget = Budget(RATE, lambda: now_s)
    spent = 0
    for pause_s, count in turns:
        now_s += pause_s
        spent += count * budget.spend(count)
        assert spent <= RATE.burst + RATE.per_s * now_s


def test_what_is_used_up_comes_back_with_time() -> None:
    now_s = 100.0
    budget = Budget(RATE, lambda: now_s)
    assert [budget.spend(5) for _ in range(3)] == [True, True, False]
    now_s += 2.4
    assert not budget.spend(5)
    now_s += 0.1
    assert budget.spend(5)


def test_time_does_not_save_up_more_than_the_burst() -> None:
    now_s = 0.0
    budget = Budget(RATE, lambda: now_s)
    budget.spend(10)
    now_s += 1_000
    assert [budget.spend(10), budget.spend(1)] == [True, False]


def test_it_can_be_earned() -> None:
    budget = Budget(RATE, lambda: 0.0)
    budget.spend(10)
    budget.earn(3)
    assert [budget.spend(3), budget.spend(1)] == [True, False]


def test_the_clock_is_asked_only_when_nothing_is_left() -> None:
    asked: list[None] = []
    budget = Budget(RATE, lambda: float(asked.append(None) or 0))
    for _ in range(10):
        budget.spend(1)
    assert len(asked) == 1
