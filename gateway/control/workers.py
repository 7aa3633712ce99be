"""The workers that run now: who gets the next connection, what all are told, what they counted."""

import asyncio
import socket
from collections.abc import Callable, Sequence

from msgspec import structs

from gateway.channel.channel import framed
from gateway.channel.messages import AskWhy, Down, Prepare, Why
from gateway.config import Settings
from gateway.control.peers import Peers
from gateway.control.worker_process import WorkerProcess
from gateway.errors import SettingsError
from gateway.fleet.presence import Presence
from gateway.fleet.shared_counters import Rows
from gateway.metrics import Family, lasting, merge


class Workers:
    """`greeting` returns what a new worker is told first, given its id. `on_available` is told when connections can be
    taken, which at the start is when all workers can, and when none can any more. In `rows` they count; `peers` counts
    what they are given."""

    def __init__(
        self, greeting: Callable[[int], Sequence[Down]], on_available: Callable[[bool], None], rows: Rows, peers: Peers
    ) -> None:
        self._greeting = greeting
        self._on_available = on_available
        self._rows = rows
        self._peers = peers
        self._running: list[WorkerProcess] = []
        self._up: set[WorkerProcess] = set()
        self._retired: list[Family] = []
        self._asked = 0
        self._are_up = False
        """All of them were, once."""

    @property
    def running(self) -> Sequence[WorkerProcess]:
        return tuple(self._running)

    @property
    def fleet_version(self) -> int:
        """That every worker has reached."""
        return min((worker.presence.fleet_version for worker in self._running), default=-1)

    def presence(self, worker_id: int) -> Presence:
        """Return what any life of this worker says of itself."""
        return Presence(self._rows, worker_id)

    def add(self, worker: WorkerProcess) -> None:
        """Greet it, and tell it what all are told from now on."""
        self._running.append(worker)
        worker.on_prompts = lambda message: self.tell(message, but=worker)
        for message in self._greeting(worker.worker_id):
            worker.send(message)

    def came_up(self, worker: WorkerProcess) -> None:
        """It is ready: let it get connections."""
        assert worker.is_ready
        # Or the first one up would get all who connect at once.
        self._up.add(worker)
        self._are_up |= len(self._up) == len(self._rows.workers)
        if self._are_up:
            self._on_available(True)

    def remove(self, worker: WorkerProcess) -> None:
        """It has ended, or will without doing more; what it counted stays."""
        self._running.remove(worker)
        self._up.discard(worker)
        self._retired = merge([self._retired, lasting(worker.families)])
        if not any(each.is_ready for each in self._running):
            self._on_available(False)

    def bury(self, worker_id: int) -> None:
        """Its process is no more: nothing is in flight in it, and its connections have ended."""
        self._rows.bury(worker_id)
        self._peers.bury(worker_id)

    def tell(self, message: Down, but: WorkerProcess | None = None) -> None:
        encoded = framed(message)
        for worker in self.running:
            if worker is not but:
                worker.send_framed(encoded)

    async def prepare(self, settings: Settings, timeout_s: float) -> None:
        """Raises SettingsError where a worker cannot use these settings, or does not answer."""
        self._asked += 1
        message = Prepare(self._asked, settings)
        async with asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(worker.prepare(message, timeout_s)) for worker in self.running]
        for answer in answers:
            if error := answer.result():
                raise SettingsError(error)

    async def explain(self, question: AskWhy, timeout_s: float) -> Why | None:
        """Ask one worker: all of them see the whole fleet. None: nobody answers."""
        self._asked += 1
        ready = [worker for worker in self._running if worker.is_ready]
        question = structs.replace(question, id=self._asked)
        return await ready[0].explain(question, timeout_s) if ready else None

    def kill(self, reason: str) -> None:
        for worker in self.running:
            worker.kill(reason)

    def hand_over(self, accepted: socket.socket, network: int, now_s: float) -> bool:
        """Give the connection to the worker with the fewest streams, then the fewest connections. `network` is its
        number. False: none takes it now, and it is still the caller's."""
        ready = [worker for worker in self._running if worker.is_ready]
        # Young ones will bring as many streams as others have, or a burst of connections would go to whoever had the
        # fewest streams before it.
        others = sum(each.connections - each.young(now_s) for each in ready)
        expected = sum(each.presence.streams for each in ready) / others if others > 0 else 0.0
        for worker in sorted(ready, key=lambda worker: worker.busyness(expected, now_s)):
            if worker.hand_over(accepted, network, now_s):
                self._peers.handed_over(network, worker.worker_id)
                return True
        return False

    async def families(self, timeout_s: float) -> Sequence[Family]:
        """Return what all workers, the dead ones too, have counted. One that is late counts as it last said."""
        running = self.running
        async with asyncio.TaskGroup() as tasks:
            for worker in running:
                tasks.create_task(worker.ask_metrics(timeout_s))
        # One that died while it was asked is among the retired by now.
        living = [worker.families for worker in running if worker in self._running]
        return merge([self._retired, *living])
