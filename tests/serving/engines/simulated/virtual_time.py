"""An event loop whose time passes only while everybody waits, and then at once."""

import asyncio
import selectors


class _Selector(selectors.DefaultSelector):
    """Waiting moves the clock instead."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits for somebody else"
            self.now_s += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now_s

    @classmethod
    def running(cls) -> "VirtualTimeLoop":
        loop = asyncio.get_running_loop()
        assert isinstance(loop, cls)
        return loop

    def stall(self, duration_s: float) -> None:
        """Let time pass as if a callback had taken so long."""
        self._clock.now_s += duration_s
