"""One number for each view, for those who compare many: a thousand cost a few microseconds where a worker keeps them
(gateway.view_list), and a thousand attributes a hundred."""

from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter

from gateway.types import Facts, View
from gateway.view_list import column, places

__all__ = ["busyness", "by_weight", "cached", "column", "ids", "prefill_tokens", "requests", "weights"]

_FEW = 4
"""Where fewer than one of so many have any of a prompt cached, to look for those costs less than to ask for each."""

_id = attrgetter("id")
_weight = attrgetter("weight")
_requests = attrgetter("requests")
_prefill_tokens = attrgetter("prefill_tokens")


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


def cached(facts: Facts, views: Sequence[View]) -> list[int]:
    """Return the tokens of the request's prompt that each has cached, in a list of the caller's own."""
    by_id = facts.cached()
    if _FEW * len(by_id) > len(views):
        return list(map(by_id.get, ids(views), repeat(0)))
    known, where = [0] * len(views), places(views)
    for replica_id, tokens in by_id.items():
        if replica_id in where:
            known[where[replica_id]] = tokens
    return known


def by_weight(loads: Sequence[float], views: Sequence[View]) -> Sequence[float]:
    """Return each of `loads` divided by the weight of its replica, which is 1 nearly everywhere."""
    shares = weights(views)
    if shares.count(1.0) == len(shares):
        return loads
    return [load / share for load, share in zip(loads, shares, strict=True)]


def _busyness(view: View) -> float:
    return view.requests / view.weight
