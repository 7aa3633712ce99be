from math import exp

from hypothesis import given
from hypothesis import strategies as st

from serving.engines.simulated.logprobs import logprobs_of

TOKEN_IDS = st.integers(0, 2**32 - 1)


@given(TOKEN_IDS, st.integers(0, 10_000), st.integers(0, 20))
def test_alternatives_are_ordered_and_begin_with_the_token(token_id: int, position: int, alternatives: int) -> None:
    logprobs = logprobs_of(token_id, position, alternatives)
    token_ids = [other for other, _ in logprobs.alternatives]
    values = [value for _, value in logprobs.alternatives]
    assert len(set(token_ids)) == alternatives
    assert values == sorted(values, reverse=True)
    assert logprobs.logprob <= 0
    assert sum(map(exp, values)) <= 1
    if alternatives:
        assert (token_ids[0], values[0]) == (token_id, logprobs.logprob)


def test_a_value_tells_its_position() -> None:
    assert len({logprobs_of(7, position, 0).logprob for position in range(900)}) == 900
