from collections.abc import Iterator, Sequence

import pytest

from benchmarks.overhead.calm import calmest


class Host:
    """Takes these shares of the machine, one after the other."""

    def __init__(self, shares: Sequence[float]) -> None:
        self._shares: Iterator[float] = iter(shares)

    def stolen(self) -> float:
        return next(self._shares)


@pytest.mark.parametrize(
    ("shares", "number", "measured"),
    [
        ([0.0], 1, 1),
        ([0.02], 1, 1),
        ([0.3, 0.01], 2, 2),
        ([0.3, 0.1, 0.2], 2, 3),
        ([0.3, 0.2, 0.0], 3, 3),
    ],
)
def test_what_the_host_disturbs_is_measured_again_and_the_calmest_counts(
    shares: Sequence[float], number: int, measured: int
) -> None:
    host = Host(shares)
    tries = iter(range(1, 10))
    assert calmest(lambda: next(tries), lambda: host) == (number, shares[number - 1])
    assert next(tries) == measured + 1
