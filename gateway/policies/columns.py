"""One number for each view, for those who compare many: a thousand cost a few microseconds where a worker keeps them
(gateway.view_columns), and a thousand attributes a hundred. What is worked out of two columns goes by `map` and an
operator, which takes a third of what a loop over both does."""

from collections.abc import Callable, Sequence
from operator import add, attrgetter, mul
from typing import TypeVar

from gateway.types import Facts, View
from gateway.view_columns import found
from gateway.view_list import ViewList

__all__ = [
    "busyness",
    "by_weight",
    "cached",
    "column",
    "ids",
    "once",
    "places",
    "prefill_tokens",
    "product",
    "requests",
    "total",
    "uncached",
    "weights",
]

T = TypeVar("T")

_id = attrgetter("id")
_weight = attrgetter("weight")
_requests = attrgetter("requests")
_prefill_tokens = attrgetter("prefill_tokens")


def column(views: Sequence[View], of: Callable[[View], T]) -> Sequence[T]:
    """Return `of` each view, which must depend on nothing but the view. Where the views are a worker's own it is worked
    out only for those that are new."""
    return views.columns.column(of) if isinstance(views, ViewList) else [of(view) for view in views]


def once(views: Sequence[View], of: Callable[[Sequence[View]], T]) -> T:
    """Return `of` all views, which must depend on nothing but their ids and order."""
    return views.columns.once(of) if isinstance(views, ViewList) else of(views)


def places(views: Sequence[View], replica_ids: tuple[str, ...]) -> Sequence[int]:
    """Return where in `views` these replicas stand, without those that are not there."""
    if isinstance(views, ViewList):
        return views.columns.group(replica_ids)
    return found({view.id: place for place, view in enumerate(views)}, replica_ids)


def ids(views: Sequence[View]) -> Sequence[str]:
    return column(views, _id)


def weights(views: Sequence[View]) -> Sequence[float]:
    return column(views, _weight)


def requests(views: Sequence[View]) -> Sequence[int]:
    return column(views, _requests)


def busyness(views: Sequence[View]) -> Sequence[float]:
    """Return the requests in flight of each, for its weight."""
    return column(views, _busyness)


def prefill_tokens(views: Sequence[View]) -> Sequence[int]:
    """Return the prompt tokens that wait to be read at each."""
    return column(views, _prefill_tokens)


def cached(facts: Facts, views: Sequence[View]) -> Sequence[tuple[Sequence[int], int]]:
    """Return places in `views`, and how many tokens of the request's prompt these have cached at least: all places and
    0 first, those who have most last."""
    return [(range(len(views)), 0), *((places(views, ids), tokens) for ids, tokens in facts.cached())]


def uncached(facts: Facts, views: Sequence[View]) -> Sequence[int]:
    """Return the tokens of the request's own prompt that each would have to read."""
    if len(views) == 1:  # a load alone: nobody shall look for all that have the prompt cached
        return [facts.uncached_tokens(views[0])]
    to_read: list[int] = []
    for group, tokens in cached(facts, views):
        left = facts.prompt_tokens - tokens
        if len(group) == len(views):
            to_read = [left] * len(views)
        else:
            for at in group:
                to_read[at] = left
    return to_read


def total(one: Sequence[float], other: Sequence[float]) -> Sequence[float]:
    """Return the sum of both for each view."""
    return list(map(add, one, other))


def product(one: Sequence[float], other: Sequence[float]) -> Sequence[float]:
    return list(map(mul, one, other))


def by_weight(loads: Sequence[float], views: Sequence[View]) -> Sequence[float]:
    """Return each of `loads` divided by the weight of its replica, which is 1 nearly everywhere."""
    shares = weights(views)
    if shares.count(1.0) == len(shares):
        return loads
    return [load / share for load, share in zip(loads, shares, strict=True)]


def _busyness(view: View) -> float:
    return view.requests / view.weight
