"""Measuring on a machine whose host gives its cores to others at times."""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

CALM: Final = 0.02
"""The share of the machine that the host may take from what is shown."""
_TRIES: Final = 3


class Watching(Protocol):
    def stolen(self) -> float:
        """Return the share of the machine that the host has taken since it began to watch."""
        ...


def calmest(measure: Callable[[], T], watch: Callable[[], Watching]) -> tuple[T, float]:
    """Measure once more, twice at most, where the host took much: what runs stands still meanwhile, and has lost the
    processor's caches afterwards. Return what was measured while it took least, and what it took then."""
    tries: list[tuple[T, float]] = []
    while len(tries) < _TRIES and not (tries and tries[-1][1] <= CALM):
        watching = watch()
        tries.append((measure(), watching.stolen()))
    return min(tries, key=lambda each: each[1])
