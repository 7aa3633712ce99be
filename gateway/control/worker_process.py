"""One life of one worker process, as control sees it."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import NamedTuple

from gateway import logs
from gateway.channel.channel import Channel, framed, open_control_end
from gateway.channel.descriptors import DescriptorSender, descriptors_pair
from gateway.channel.messages import (
    AskMetrics,
    AskWhy,
    Down,
    Metrics,
    Outcomes,
    Prepare,
    Prepared,
    Progress,
    PromptsRead,
    Up,
    Why,
    WorkerReady,
)
from gateway.fleet.presence import Presence
from gateway.metrics import Family

_log = logging.getLogger(__name__)

# -P: what lies in the working directory must not stand in for our packages.
COMMAND = (sys.executable, "-P", "-m", "gateway.worker")

_STDERR = 2
_YOUNG_S = 0.1
"""Before a new connection has brought its first requests: until it is adopted, and a handshake."""


class Launch(NamedTuple):
    """How a worker is started."""

    command: Sequence[str]
    memory_fd: int
    """Of the memory that all workers share."""


class WorkerProcess:
    """It is told and never waited for: one that does not read what it is told is killed."""

    def __init__(self, worker_id: int, presence: Presence, on_seen: Callable[[Outcomes | Progress], None]) -> None:
        self.worker_id = worker_id
        self.presence = presence
        """What it says of itself."""
        self.is_ready = False
        """It takes connections."""
        self.is_late = False
        """It has been silent for longer than it should."""
        self.families: Sequence[Family] = ()
        """Its metrics, as last told."""
        self.on_prompts: Callable[[PromptsRead], object] = lambda message: None
        self._on_seen = on_seen
        self._ready_or_closed = asyncio.Event()
        self._closed = asyncio.Event()
        # With what earlier lives were given, all of which has ended.
        self._handed_over = presence.ended_connections()
        self._young: deque[float] = deque()
        """When each of the last connections was handed over."""
        self._asked = 0
        self._awaited: dict[tuple[type[Up], int], asyncio.Future[Up | None]] = {}
        self._is_killed = False
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel[Down, Up] | None = None
        self._descriptors: DescriptorSender | None = None

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.worker_id}: {self.connections} connections, {self.presence}>"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def connections(self) -> int:
        """That it has, or that are on their way to it."""
        return self._handed_over - self.presence.ended_connections()

    def young(self, now_s: float) -> int:
        """Return how many connections were handed over so recently that their streams are still to come."""
        while self._young and self._young[0] <= now_s - _YOUNG_S:
            self._young.popleft()
        return len(self._young)

    def busyness(self, streams_a_connection: float, now_s: float) -> tuple[bool, float, int]:
        """Return what to compare workers by, where a young connection will bring so many streams."""
        return self.is_late, self.presence.streams + streams_a_connection * self.young(now_s), self.connections

    async def start(self, launch: Launch) -> None:
        """Start the process; it gets `--channel-fd N --descriptors-fd N --memory-fd N`."""
        ours, theirs = socket.socketpair()
        our_descriptors, their_descriptors = descriptors_pair()
        self._descriptors = DescriptorSender(our_descriptors)
        with theirs, their_descriptors:
            self._channel = await open_control_end(ours, self._on_message, self._on_closed)
            inherited = (theirs.fileno(), their_descriptors.fileno(), launch.memory_fd)
            self._process = await asyncio.create_subprocess_exec(
                *launch.command,
                *("--channel-fd", str(inherited[0]), "--descriptors-fd", str(inherited[1])),
                *("--memory-fd", str(launch.memory_fd)),
                pass_fds=inherited,
                stdin=asyncio.subprocess.DEVNULL,
                # Stdout is control's own, for the line that says where it listens.
                stdout=_STDERR,
                # Ctrl-C is for control, which then drains the workers.
                start_new_session=True,
            )

    def send(self, message: Down) -> None:
        self.send_framed(framed(message))

    def send_framed(self, message: bytes) -> None:
        channel = self._channel
        if channel is not None and channel.is_open and not channel.send_framed(message):
            self.kill("does not read its channel")

    def hand_over(self, accepted: socket.socket, network: int, now_s: float) -> bool:
        """Give it a connection. False: it takes none now, being gone, or busy with those that it has been given."""
        try:
            took = self._descriptors is not None and self._descriptors.send(accepted, network)
        except BlockingIOError:
            return False  # one that is stuck is silent, too
        if took:
            self._handed_over += 1
            self._young.append(now_s)
        elif not self._closed.is_set():
            self.kill("does not take connections")
        return took

    async def ask_metrics(self, timeout_s: float) -> None:
        """Return when `families` are newer than this call, it is late, or it has gone."""
        self._asked += 1
        await self._ask(AskMetrics(self._asked), (Metrics, self._asked), timeout_s)

    async def prepare(self, message: Prepare, timeout_s: float) -> str:
        """Return why it cannot use these settings; empty: it can, or has gone."""
        answer = await self._ask(message, (Prepared, message.id), timeout_s)
        if answer is None and self.is_ready:
            return f"worker {self.worker_id} does not answer"
        return answer.error if isinstance(answer, Prepared) else ""

    async def explain(self, question: AskWhy, timeout_s: float) -> Why | None:
        """None: it is late, or has gone."""
        answer = await self._ask(question, (Why, question.id), timeout_s)
        return answer if isinstance(answer, Why) else None

    async def _ask(self, question: Down, answer: tuple[type[Up], int], timeout_s: float) -> Up | None:
        """Return the message of this type and id. None: it is late, or has gone."""
        if self._closed.is_set():
            return None
        self._awaited[answer] = awaited = asyncio.get_running_loop().create_future()
        self.send(question)
        try:
            async with asyncio.timeout(timeout_s):
                return await awaited
        except TimeoutError:
            return None
        finally:
            del self._awaited[answer]

    async def until_ready(self) -> bool:
        """False: it ended before."""
        await self._ready_or_closed.wait()
        return not self._closed.is_set()

    async def until_closed(self) -> None:
        """Return when its channel has closed, which is so at its end."""
        await self._closed.wait()

    async def exit_code(self) -> int:
        """Wait for the process to end; negative: by that signal."""
        assert self._process is not None
        return await self._process.wait()

    def kill(self, reason: str) -> None:
        if self._process is not None and not self._is_killed:
            _log.error(logs.line("worker_killed", worker=self.worker_id, pid=self._process.pid, reason=reason))
            self._kill(self._process)

    def _kill(self, process: asyncio.subprocess.Process) -> None:
        self._is_killed = True
        if process.returncode is None:
            # Not process.kill(): it polls, and who polls takes the exit code away from asyncio's own waiter.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Leave nothing of it behind."""
        if self._channel is not None:
            self._channel.abort()
        if self._descriptors is not None:
            self._descriptors.close()
        if self._process is not None:
            self._kill(self._process)
            await self._process.wait()

    def _on_message(self, message: Up) -> None:
        match message:
            case WorkerReady():
                self.is_ready = True
                self._ready_or_closed.set()
            case Outcomes() | Progress():
                self._on_seen(message)
            case PromptsRead():
                self.on_prompts(message)
            case Metrics():
                self.families = message.families
                self._answer((Metrics, message.id), message)
            case Prepared() | Why():
                self._answer((type(message), message.id), message)

    def _answer(self, question: tuple[type[Up], int], answer: Up | None) -> None:
        awaited = self._awaited.get(question)
        if awaited is not None and not awaited.done():
            awaited.set_result(answer)

    def _on_closed(self, error: Exception | None) -> None:
        if error is not None:
            _log.error(logs.line("worker_channel_lost", worker=self.worker_id, reason=error))
        self.is_ready = False
        self._closed.set()
        self._ready_or_closed.set()
        for question in self._awaited:
            self._answer(question, None)


@contextlib.asynccontextmanager
async def running_worker(
    launch: Launch, worker_id: int, presence: Presence, on_seen: Callable[[Outcomes | Progress], None]
) -> AsyncGenerator[WorkerProcess, None]:
    """The process lives no longer than the context."""
    worker = WorkerProcess(worker_id, presence, on_seen)
    try:
        await worker.start(launch)
        yield worker
    finally:
        await worker.end()
