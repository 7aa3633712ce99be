from math import hypot
from operator import mul

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.engines.simulated.embedding import embed
from serving.engines.simulated.tokens import encode


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50), st.integers(1, 64))
def test_every_vector_has_the_length_one(token_ids: list[int], dimensions: int) -> None:
    vector = embed(token_ids, dimensions)
    assert len(vector) == dimensions
    assert hypot(*vector) == pytest.approx(1.0)
    assert embed(token_ids, dimensions) == vector


def test_texts_that_share_words_are_nearer_to_each_other() -> None:
    one, near, far = (embed(encode(text), 256) for text in ("the sea was red", "the sea was old", "any car may run"))
    assert sum(map(mul, one, near)) > 0.5 > sum(map(mul, one, far))
