"""How much of something a peer may still do."""

from collections.abc import Callable

from gateway.http2.limits import Rate


class Budget:
    """A token bucket that looks at the clock only when it is empty, so that spending costs a subtraction."""

    __slots__ = ("_clock", "_filled_at", "_left", "_rate")

    def __init__(self, rate: Rate, clock: Callable[[], float]) -> None:
        self._rate = rate
        self._clock = clock
        self._left = float(rate.burst)
        self._filled_at = clock()

    def spend(self, count: int) -> bool:
        """Return False where there is not so much left."""
        if self._left < count:
            now_s = self._clock()
            self.earn((now_s - self._filled_at) * self._rate.per_s)
            self._filled_at = now_s
            if self._left < count:
                return False
        self._left -= count
        return True

    def earn(self, count: float) -> None:
        self._left = min(self._rate.burst, self._left + count)
