from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.policies.columns import by_weight, cached, uncached
from gateway.view_list import ViewList
from tests.gateway.fleets import Cached, facts, view

VIEWS = [view(replica_id) for replica_id in "abcd"]
caches = st.dictionaries(st.sampled_from("abcdefg"), st.sampled_from((1, 256, 512, 999)))
"""Of the four that are shown, and of three that are not."""


@given(tokens=caches)
def test_what_is_to_be_read_is_what_each_has_not_cached(tokens: dict[str, int]) -> None:
    request = replace(facts(prompt_tokens=1_000), prefix=Cached(tokens))
    each = [request.uncached_tokens(view) for view in VIEWS]
    assert uncached(request, VIEWS) == uncached(request, ViewList(VIEWS)) == each


@given(tokens=caches)
def test_who_has_more_cached_is_named_again_later(tokens: dict[str, int]) -> None:
    request = replace(facts(prompt_tokens=1_000), prefix=Cached(tokens))
    groups = cached(request, ViewList(VIEWS))
    assert [set(group) for group, _ in groups] == [
        {at for at, view in enumerate(VIEWS) if tokens.get(view.id, 0) >= least} for _, least in groups
    ]
    assert [least for _, least in groups] == [0, *sorted(set(tokens.values()))]


def test_a_load_alone_asks_for_one_replica_and_not_for_all() -> None:
    class One(Cached):
        def cached(self) -> tuple[()]:
            raise AssertionError

    assert uncached(replace(facts(prompt_tokens=9), prefix=One(a=5)), VIEWS[:1]) == [4]


def test_weights_other_than_1_divide() -> None:
    assert by_weight([3.0, 3.0], [view("a"), view("b", weight=2.0)]) == [3.0, 1.5]
    assert by_weight([3.0], [view("a")]) == [3.0]
