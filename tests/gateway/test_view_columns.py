from collections.abc import Callable, Sequence

from hypothesis import given
from hypothesis import strategies as st

from gateway.policies.columns import column, once, places
from gateway.types import View
from gateway.view_list import ViewList
from tests.gateway.fleets import view


def requests(view: View) -> int:
    return view.requests


def weight(view: View) -> float:
    return view.weight


@given(
    size=st.integers(1, 5),
    steps=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 99), st.sampled_from((None, requests, weight)))),
)
def test_a_column_is_what_the_views_are_now(
    size: int, steps: list[tuple[int, int, Callable[[View], float] | None]]
) -> None:
    views = ViewList(view(str(number)) for number in range(size))
    for place, value, of in steps:
        views.columns.replace(place % size, view(str(place % size), value, float(value + 1)))
        if of is not None:
            assert column(views, of) == [of(each) for each in views]
    assert column(views, requests) == column(list(views), requests)


def test_only_what_is_new_is_worked_out() -> None:
    asked: list[str] = []

    def of(view: View) -> int:
        asked.append(view.id)
        return view.requests

    views = ViewList([view("a"), view("b"), view("c")])
    assert column(views, of) == [0, 0, 0]
    views.columns.replace(1, view("b", 7))
    assert asked == ["a", "b", "c"], "not before it is asked for"
    assert column(views, of) == column(views, of) == [0, 7, 0]
    assert asked == ["a", "b", "c", "b"]


def test_one_that_asks_by_a_new_function_each_time_costs_bounded_memory() -> None:
    views = ViewList([view("a", 3)])
    columns = [column(views, lambda each, more=more: each.requests + more) for more in range(1_000)]
    assert [each[0] for each in columns] == list(range(3, 1_003))
    assert len(getattr(views.columns, "_columns")) <= 32  # noqa: B009 (compiled, it has no vars)


def test_places_are_those_of_a_plain_list() -> None:
    views = [view("b"), view("a"), view("c")]
    kept = ViewList(views)
    for ids in (("a", "b"), ("c", "gone"), ("a", "b"), ()):
        assert (
            places(kept, ids) == places(views, ids) == [["b", "a", "c"].index(each) for each in ids if each != "gone"]
        )


def test_prompts_that_each_have_other_replicas_cost_bounded_memory() -> None:
    views = ViewList([view("a"), view("b")])
    assert [places(views, ("b", str(number))) for number in range(1_000)] == [[1]] * 1_000
    assert len(getattr(views.columns, "_groups")) <= 64  # noqa: B009


def test_what_depends_on_ids_alone_is_worked_out_once() -> None:
    asked: list[int] = []

    def of(views: Sequence[View]) -> str:
        asked.append(len(views))
        return "".join(view.id for view in views)

    views = ViewList([view("a"), view("b")])
    assert once(views, of) == "ab"
    views.columns.replace(0, view("a", 9))
    assert once(views, of) == "ab"
    assert asked == [2]
    assert once(list(views), of) == "ab"
    assert asked == [2, 2]
