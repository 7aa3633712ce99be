"""Where the least of many numbers stands."""

import random
from collections.abc import Sequence
from math import isnan

__all__ = ["place_of_least"]


def place_of_least(loads: Sequence[float], rng: random.Random, among: Sequence[int] | None = None) -> int:
    """Return where the least of `loads` stands, or the least of those at the places `among` them. Equals are drawn: the
    first of them would get all of a quiet fleet's requests, from every gateway that sees the same order."""
    if among is not None and len(among) < len(loads):
        return among[place_of_least([loads[at] for at in among], rng)]
    lowest = min(loads)
    if isnan(lowest):
        return 0  # for `min` passes over all that are no number, but the first
    if loads.count(lowest) == 1:
        return loads.index(lowest)
    # At the worst half as many draws as there are loads, on average: what a list of the equals would cost.
    at = int(rng.random() * len(loads))
    while loads[at] != lowest:
        at = int(rng.random() * len(loads))
    return at
