"""Counters, gauges and histograms for the token path: a plain list each, no lock, no import of a metrics library."""

from bisect import bisect_left


class Counter:
    """Only rises."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values = [0.0]

    def add(self, n: float = 1.0) -> None:
        self.values[0] += n


class Gauge:
    """Rises and falls. Over processes gauges are summed: give those that must not be a label for the process."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values = [0.0]

    def add(self, n: float) -> None:
        self.values[0] += n

    def set(self, value: float) -> None:
        self.values[0] = value


class Histogram:
    """Counts runs of one value before it looks for their bucket: an engine step gives all its streams the same gap."""

    __slots__ = ("_bounds", "_values", "run", "value")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._values = [0.0] * (len(bounds) + 2)
        self.value = 0.0
        """The last one."""
        self.run = 0
        """How often it came, and is not in `values` yet: who sees it again may add to this instead of a call."""

    @property
    def values(self) -> list[float]:
        """What fell into each bucket, above the last, and the sum."""
        self._settle()
        return self._values

    def observe(self, value: float) -> None:
        if value == self.value:
            self.run += 1
        else:
            self._settle()
            self.value = value
            self.run = 1

    def _settle(self) -> None:
        if self.run:
            values = self._values
            values[bisect_left(self._bounds, self.value)] += self.run
            values[-1] += self.value * self.run
            self.run = 0
