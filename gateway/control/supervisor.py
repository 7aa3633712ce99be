"""Keeps one worker running: a crash costs its own connections and nothing else."""

import asyncio
import logging
import random
from collections.abc import Callable

from gateway import logs
from gateway.channel.messages import Outcomes, Progress
from gateway.config import Settings
from gateway.control.backoff import Backoff
from gateway.control.silence import Silence, waited_s
from gateway.control.worker_process import Launch, WorkerProcess, running_worker
from gateway.control.workers import Workers
from gateway.fleet.presence import BEAT_INTERVAL_S
from gateway.metrics import Counter

_log = logging.getLogger(__name__)

EXIT_MARGIN_S = 2.0
"""What a worker may take beyond its grace, before it is killed."""

_LOOK_S = 2 * BEAT_INTERVAL_S

STABLE_S = 60.0
"""A worker that lived so long is replaced at once."""


class WorkerFailed(Exception):
    """The first worker never became ready: another would not either."""


class Supervisor:
    def __init__(
        self,
        worker_id: int,
        launch: Launch,
        settings: Settings,
        workers: Workers,
        on_seen: Callable[[Outcomes | Progress], None],
        restarts: Counter,
    ) -> None:
        self._worker_id = worker_id
        self._launch = launch
        self.settings = settings
        self._workers = workers
        self._on_seen = on_seen
        self._restarts = restarts
        self._backoff = Backoff(0.1, 10.0, 0.2, random.Random(worker_id))
        self._draining = asyncio.Event()
        self._has_been_ready = False

    async def run(self) -> None:
        """Return when the worker has ended after `drain`. Raises WorkerFailed."""
        presence = self._workers.presence(self._worker_id)
        while not self._draining.is_set():
            async with running_worker(self._launch, self._worker_id, presence, self._on_seen) as worker:
                await self._live(worker)
                code = await self._end(worker)
            self._workers.bury(self._worker_id)
            if not self._draining.is_set():
                await self._after(_how(code))

    def drain(self) -> None:
        """Replace the worker no more. Whoever calls this tells it to finish."""
        self._draining.set()

    async def _live(self, worker: WorkerProcess) -> None:
        """Return when its channel has closed."""
        self._workers.add(worker)
        try:
            async with asyncio.timeout(self.settings.worker_start_timeout_s):
                is_ready = await worker.until_ready()
            if is_ready:
                self._has_been_ready = True
                self._workers.came_up(worker)
                await self._until_closed(worker)
        except TimeoutError:
            worker.kill("did not become ready in time")
        finally:
            self._workers.remove(worker)

    async def _until_closed(self, worker: WorkerProcess) -> None:
        loop = asyncio.get_running_loop()
        ready_at = loop.time()
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch(worker))
            await worker.until_closed()
            watching.cancel()
        if loop.time() - ready_at > STABLE_S:
            self._backoff.reset()

    async def _watch(self, worker: WorkerProcess) -> None:
        """Kill it when it is silent for too long."""
        silence = Silence()
        while silence.seconds < self.settings.worker_silence_s:
            silence.look(worker.presence.beats, waited_s(worker.pid), _LOOK_S)
            worker.is_late = silence.seconds > _LOOK_S
            await asyncio.sleep(_LOOK_S)
        worker.kill("is silent")

    async def _end(self, worker: WorkerProcess) -> int:
        """It takes no more connections; let it finish what it has."""
        try:
            async with asyncio.timeout(self.settings.grace_s + EXIT_MARGIN_S):
                return await worker.exit_code()
        except TimeoutError:
            worker.kill("did not end in time")
            return await worker.exit_code()

    async def _after(self, how: str) -> None:
        if not self._has_been_ready:
            raise WorkerFailed(f"the worker did not start: {how}")
        self._restarts.add()
        pause_s = self._backoff.next_s()
        _log.error(logs.line("worker_ended", worker=self._worker_id, reason=how, restart_in_s=pause_s))
        try:
            async with asyncio.timeout(pause_s):
                await self._draining.wait()
        except TimeoutError:
            return


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
