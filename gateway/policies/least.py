"""The picker of policies that compare all candidates by one number."""

import random
from collections.abc import Sequence

from gateway.types import View

__all__ = ["least"]


def least(views: Sequence[View], loads: Sequence[float], rng: random.Random) -> View:
    """Return the view with the least of `loads`. Equals are drawn: the first of them would get all of a quiet fleet's
    requests, from every gateway that sees the same order."""
    lowest = min(loads)
    if loads.count(lowest) == 1:
        return views[loads.index(lowest)]
    return rng.choice([view for view, load in zip(views, loads, strict=True) if load == lowest])
