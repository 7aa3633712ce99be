"""Runs a scheduler in real time, or so many times faster, on the event loop's clock."""

import asyncio
from collections.abc import Callable
from typing import Generic

from serving.engines.simulated.scheduler import R, Scheduler, Step

CATCH_UP_S = 0.1
"""How far behind steps may be and still end where they should. A loop that was late for a moment delays nothing in the
end; a machine that is too slow makes a slower engine, not one that owes steps."""


class Driver(Generic[R]):
    """One timer: the end of the step that has begun, or the moment when there will be something to do. None when idle.

    Steps follow each other by their own durations, so that late timers do not add up, and see only what was submitted
    before they began, as if they had begun in time.
    """

    def __init__(
        self, scheduler: Scheduler[R], speedup: float, deliver: Callable[[Step[R]], None], fail: Callable[[], None]
    ) -> None:
        """`deliver` is called when a step has ended; `fail` when a defect has ended everything, before it is raised."""
        self._scheduler = scheduler
        self._speedup = speedup
        self._deliver = deliver
        self._fail = fail
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        return self._timer is None

    def submit(self, request: R) -> None:
        now_s = self._now_s()
        self._scheduler.submit(request, now_s)
        if self._timer is None:
            self._wait(now_s)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _now_s(self) -> float:
        return self._loop.time() * self._speedup

    def _wait(self, now_s: float) -> None:
        self._timer = None
        at_s = self._scheduler.next_step_at(now_s)
        if at_s is not None:
            self._timer = self._loop.call_at(at_s / self._speedup, self._run, None, at_s)

    def _run(self, ended: Step[R] | None, now_s: float) -> None:
        try:
            if ended is not None:
                self._deliver(ended)
                now_s = max(now_s, self._now_s() - CATCH_UP_S * self._speedup)
            self._begin(now_s)
        except BaseException:
            self.close()
            self._fail()
            raise

    def _begin(self, now_s: float) -> None:
        step = self._scheduler.step(now_s)
        if step is None:
            self._wait(now_s)
        else:
            ends_at_s = now_s + step.duration_s
            self._timer = self._loop.call_at(ends_at_s / self._speedup, self._run, step, ends_at_s)
