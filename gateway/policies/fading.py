"""What was seen, by how long ago that is."""

from collections.abc import Sequence
from math import exp

__all__ = ["faded", "peak"]


def peak(value: float, age: float) -> float:
    """Return how much a value was when it was seen, `age` ago, on the scale of now: to a third of it, it fades in one
    unit of time. A negative age is one to come."""
    return value * exp(-age)


def faded(peaks: Sequence[tuple[float, float]], age: float) -> list[float]:
    """Return for each peak what is left of it once the scale that it is on is so old; at least its floor, which stands
    beside it."""
    left = exp(-age)
    return [value if (value := top * left) > floor else floor for top, floor in peaks]
