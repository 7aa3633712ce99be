"""One life of one worker process, as control sees it."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Sequence

from gateway import logs
from gateway.channel.channel import Channel, open_control_end
from gateway.channel.descriptors import DescriptorSender, descriptors_pair
from gateway.channel.messages import (
    AskMetrics,
    Counts,
    Down,
    Metrics,
    Outcome,
    Prepare,
    Prepared,
    PromptsRead,
    Up,
    WorkerReady,
)
from gateway.metrics import Family

_log = logging.getLogger(__name__)

# -P: what lies in the working directory must not stand in for our packages.
COMMAND = (sys.executable, "-P", "-m", "gateway.worker")

_STDERR = 2
_STUCK_S = 10.0
"""A worker that takes no connection for so long, although hundreds wait for it, does nothing else either."""


class WorkerProcess:
    """It is told and never waited for: one that does not read what it is told is killed."""

    def __init__(self, worker_id: int, on_outcome: Callable[[Outcome], None]) -> None:
        self.worker_id = worker_id
        self.is_ready = False
        """It takes connections."""
        self.streams = 0
        self.connections = 0
        """As last told, and those handed over since."""
        self.families: Sequence[Family] = ()
        """Its metrics, as last told."""
        self.on_prompts: Callable[[PromptsRead], object] = lambda message: None
        self._on_outcome = on_outcome
        self._ready_or_closed = asyncio.Event()
        self._closed = asyncio.Event()
        self._answered = asyncio.Event()
        self._prepared: dict[int, asyncio.Future[str]] = {}
        self._busy_at: float | None = None
        self._asked = 0
        self._is_killed = False
        self._process: asyncio.subprocess.Process | None = None
        self._channel: Channel[Down, Up] | None = None
        self._descriptors: DescriptorSender | None = None

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.worker_id}: {self.connections} connections, {self.streams} streams>"

    async def start(self, command: Sequence[str]) -> None:
        """Start the process; it gets `--channel-fd N --descriptors-fd M`."""
        ours, theirs = socket.socketpair()
        our_descriptors, their_descriptors = descriptors_pair()
        self._descriptors = DescriptorSender(our_descriptors)
        with theirs, their_descriptors:
            self._channel = await open_control_end(ours, self._on_message, self._on_closed)
            inherited = (theirs.fileno(), their_descriptors.fileno())
            self._process = await asyncio.create_subprocess_exec(
                *command,
                *("--channel-fd", str(inherited[0]), "--descriptors-fd", str(inherited[1])),
                pass_fds=inherited,
                stdin=asyncio.subprocess.DEVNULL,
                # Stdout is control's own, for the line that says where it listens.
                stdout=_STDERR,
                # Ctrl-C is for control, which then drains the workers.
                start_new_session=True,
            )

    def send(self, message: Down) -> None:
        channel = self._channel
        if channel is not None and channel.is_open and not channel.send(message):
            self.kill("does not read its channel")

    def hand_over(self, accepted: socket.socket) -> bool:
        """Give it a connection. False: it takes none now, being gone, or busy with those that it has been given."""
        if self._descriptors is None:
            return False
        try:
            took = self._descriptors.send(accepted)
        except BlockingIOError:
            now_s = asyncio.get_running_loop().time()
            self._busy_at = now_s if self._busy_at is None else self._busy_at
            if now_s - self._busy_at > _STUCK_S:
                self.kill("does not take connections")
            return False
        self._busy_at = None
        if took:
            self.connections += 1
        elif not self._closed.is_set():
            self.kill("does not take connections")
        return took

    async def ask_metrics(self) -> None:
        """Return when `families` are newer than this call, or the worker has gone."""
        if self._closed.is_set():
            return
        self._asked += 1
        asked = self._asked
        self._answered.clear()
        self.send(AskMetrics(asked))
        await self._answered.wait()

    async def prepare(self, message: Prepare) -> str:
        """Return why the worker cannot use these settings; empty where it can, or has gone."""
        if self._closed.is_set():
            return ""
        answer = self._prepared[message.id] = asyncio.get_running_loop().create_future()
        try:
            self.send(message)
            return await answer
        finally:
            del self._prepared[message.id]

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
            case Outcome():
                self._on_outcome(message)
            case PromptsRead():
                self.on_prompts(message)
            case Counts():
                self.connections, self.streams = message.connections, message.streams
            case Metrics():
                self.families = message.families
                if message.id == self._asked:
                    self._answered.set()
            case Prepared():
                self._on_prepared(message.id, message.error)

    def _on_prepared(self, asked: int, error: str) -> None:
        answer = self._prepared.get(asked)
        if answer is not None and not answer.done():
            answer.set_result(error)

    def _on_closed(self, error: Exception | None) -> None:
        if error is not None:
            _log.error(logs.line("worker_channel_lost", worker=self.worker_id, reason=error))
        self.is_ready = False
        for event in (self._closed, self._ready_or_closed, self._answered):
            event.set()
        for asked in self._prepared:
            self._on_prepared(asked, "")


@contextlib.asynccontextmanager
async def running_worker(
    command: Sequence[str], worker_id: int, on_outcome: Callable[[Outcome], None]
) -> AsyncGenerator[WorkerProcess, None]:
    """The process lives no longer than the context."""
    worker = WorkerProcess(worker_id, on_outcome)
    try:
        await worker.start(command)
        yield worker
    finally:
        await worker.end()
