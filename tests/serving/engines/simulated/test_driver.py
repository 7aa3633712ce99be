import asyncio

from serving.engines.simulated.driver import CATCH_UP_S, Driver
from serving.engines.simulated.scheduler import Step
from tests.serving.engines.simulated.sequences import Sequenced, SmallScheduler
from tests.serving.engines.simulated.virtual_time import VirtualTimeLoop


class Recorder:
    """Notes when each request got each token, and drives a small scheduler: steps of 1 s."""

    def __init__(self, *, speedup: float = 1.0, ingest_s: float = 0.0) -> None:
        self.loop = VirtualTimeLoop.running()
        self.scheduler = SmallScheduler(ingest_s=ingest_s)
        self.driver = Driver[Sequenced](self.scheduler, speedup, self._deliver, self._fail)
        self.times: dict[str, list[float]] = {}
        self.has_failed = False
        self.breaks = False

    def _deliver(self, step: Step[Sequenced]) -> None:
        if self.breaks:
            raise RuntimeError("a defect")
        for request in step.produced:
            self.times.setdefault(request.name, []).append(round(self.loop.time(), 6))

    def _fail(self) -> None:
        self.has_failed = True


async def test_tokens_come_when_their_steps_end() -> None:
    recorder = Recorder(ingest_s=0.5)
    recorder.driver.submit(Sequenced("a", [1, 2, 3], 3))
    await asyncio.sleep(10)
    assert recorder.times == {"a": [1.5, 2.5, 3.5]}


async def test_everything_is_so_many_times_faster() -> None:
    recorder = Recorder(ingest_s=0.5, speedup=10)
    recorder.driver.submit(Sequenced("a", [1, 2, 3], 3))
    await asyncio.sleep(1)
    assert recorder.times == {"a": [0.15, 0.25, 0.35]}


async def test_who_comes_during_a_step_waits_for_the_next() -> None:
    recorder = Recorder()
    recorder.driver.submit(Sequenced("a", [1], 3))
    await asyncio.sleep(0.3)
    recorder.driver.submit(Sequenced("b", [2], 1))
    await asyncio.sleep(10)
    assert recorder.times == {"a": [1.0, 2.0, 3.0], "b": [2.0]}


async def test_an_idle_engine_has_no_timer() -> None:
    recorder = Recorder()
    assert recorder.driver.is_idle
    recorder.driver.submit(Sequenced("a", [1], 1))
    assert not recorder.driver.is_idle
    await asyncio.sleep(10)
    assert recorder.driver.is_idle
    recorder.driver.submit(Sequenced("b", [1], 1))
    await asyncio.sleep(10)
    assert recorder.times == {"a": [1.0], "b": [11.0]}


async def test_a_late_timer_delays_nothing_that_comes_after() -> None:
    recorder = Recorder()
    recorder.driver.submit(Sequenced("a", [1], 4))
    recorder.loop.call_at(0.99, recorder.loop.stall, CATCH_UP_S / 2)
    await asyncio.sleep(10)
    assert recorder.times == {"a": [1.04, 2.0, 3.0, 4.0]}


async def test_a_long_stall_is_not_made_up_for() -> None:
    recorder = Recorder()
    recorder.driver.submit(Sequenced("a", [1], 3))
    recorder.loop.call_at(0.5, recorder.loop.stall, 5.0)
    await asyncio.sleep(20)
    assert recorder.times == {"a": [5.5, 5.5 - CATCH_UP_S + 1, 5.5 - CATCH_UP_S + 2]}


async def test_nothing_happens_after_the_close() -> None:
    recorder = Recorder()
    recorder.driver.submit(Sequenced("a", [1], 3))
    await asyncio.sleep(1.5)
    recorder.driver.close()
    recorder.driver.close()
    await asyncio.sleep(10)
    assert recorder.times == {"a": [1.0]}


async def test_a_defect_ends_it_and_is_told() -> None:
    recorder = Recorder()
    reported: list[str] = []
    recorder.loop.set_exception_handler(lambda _loop, context: reported.append(str(context.get("exception"))))
    recorder.breaks = True
    recorder.driver.submit(Sequenced("a", [1], 3))
    await asyncio.sleep(10)
    assert recorder.has_failed
    assert recorder.driver.is_idle
    assert reported == ["a defect"]
