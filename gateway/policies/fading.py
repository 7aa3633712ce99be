"""What was seen, by how long ago that is."""

from collections.abc import Sequence
from math import exp

__all__ = ["faded"]


def faded(seen: Sequence[tuple[float, float, float]], now: float, floor: float) -> list[float]:
    """Return for each value what is left of it, at least `floor`, times a factor: `seen` has value, instant and factor,
    and to a third of it a value fades in one unit of time."""
    return [
        (left if (left := value * exp(at - now if at < now else 0.0)) > floor else floor) * factor
        for value, at, factor in seen
    ]
