"""One number for each view, for those who compare many: a thousand cost a few microseconds where a worker keeps them
(gateway.view_list), and a thousand attributes a hundred."""

from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter

from gateway.types import Facts, View
from gateway.view_list import column

__all__ = ["busyness", "column", "ids", "requests", "to_read", "weights"]

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


def to_read(facts: Facts, views: Sequence[View]) -> Sequence[int]:
    """Return the prompt tokens that each would have to read: those that wait there, and the request's own that it does
    not have cached."""
    prompt_tokens, cached = facts.prompt_tokens, facts.cached()
    ahead = column(views, _prefill_tokens)
    if not cached:
        return [tokens + prompt_tokens for tokens in ahead]
    known = map(cached.get, ids(views), repeat(0))
    return [tokens + prompt_tokens - each for tokens, each in zip(ahead, known, strict=True)]


def _busyness(view: View) -> float:
    return view.requests / view.weight
