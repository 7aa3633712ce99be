"""Tasks of the load generator that are measured."""

import random
import time
from collections.abc import Iterator, Sequence
from functools import partial

from benchmarks.overhead.agent import Agent, Ask, StreamingAgent
from benchmarks.overhead.connecting import Unable, connect, replica_connection
from benchmarks.overhead.latency import histogram
from benchmarks.overhead.loop import Loop, now_ns
from benchmarks.overhead.orders import GO, STOP, Order
from benchmarks.overhead.tasks import Result, Task
from gateway.http2.frames import DATA

NS = 10**9
_OPEN_NS = 10 * NS
_FINISH_NS = 2 * NS
"""For streams that are still open when the measured time is over."""
_OWN = 0


def cpu_ns(pid: int) -> int:
    """Return the CPU time of a process, all its threads, user and system, without the ticks that /proc counts in (the
    clock of clock_getcpuclockid(3))."""
    return time.process_time_ns() if pid == _OWN else time.clock_gettime_ns(~pid << 3 | 2)


class Run:
    """One task: warming up, the time that is measured between two marks, finishing."""

    def __init__(self, loop: Loop, task: Task, agents: Sequence[Agent]) -> None:
        self.loop = loop
        self.task = task
        self.agents = agents
        self.begin_ns = self.end_ns = 0
        self.ended = self.failed = self.due = 0
        self.latencies: list[tuple[int, int]] = []
        """When it was due, and how long after that it came."""
        self._marks: list[tuple[int, int, int, list[int]]] = []

    def result(self) -> Result:
        """Raises Unable."""
        for agent in self.agents:
            agent.on_end = self.on_end
        self.start()
        for agent in self.agents:
            agent.flush()
        self.loop.run(self._is_over)
        unfinished = sum(len(agent.streams) for agent in self.agents)
        for agent in self.agents:
            agent.on_end = None
            agent.close()
        return self._result(unfinished)

    def start(self) -> None:
        raise NotImplementedError

    def on_end(self, agent: Agent, ask: Ask) -> None:
        raise NotImplementedError

    def measure_soon(self) -> None:
        """Warm up from now on, then measure."""
        self.begin_ns = now_ns() + int(self.task.warmup_s * NS)
        self.end_ns = self.begin_ns + int(self.task.measured_s * NS)
        self.loop.at(self.begin_ns, self._mark)
        self.loop.at(self.end_ns, self._mark)
        # So that it wakes up to see that the time to finish is over.
        self.loop.at(self.end_ns + _FINISH_NS, lambda: None)

    def begin_all(self) -> None:
        for number in range(self.task.streams):
            self.agents[number % len(self.agents)].begin(now_ns())

    def received_bytes(self) -> int:
        return sum(agent.received_bytes for agent in self.agents)

    def _mark(self) -> None:
        clocks = [sum(map(cpu_ns, group)) for group in (*self.task.pids, [_OWN])]
        self._marks.append((now_ns(), self.received_bytes(), self.ended, clocks))

    def _is_over(self) -> bool:
        if len(self._marks) < 2:
            return False
        return now_ns() >= self.end_ns + _FINISH_NS or not any(agent.streams for agent in self.agents)

    def _result(self, unfinished: int) -> Result:
        (began_ns, bytes_before, ended_before, cpu_before), (over_ns, bytes_after, ended_after, cpu_after) = self._marks
        return Result(
            wall_s=(over_ns - began_ns) / NS,
            messages=(bytes_after - bytes_before) / (self.task.message_bytes + 5),
            rpcs=ended_after - ended_before,
            failed=self.failed,
            unfinished=unfinished,
            cpu_s=[(after - before) / NS for before, after in zip(cpu_before, cpu_after, strict=True)],
            latency=histogram(took for due_at, took in self.latencies if self.begin_ns <= due_at < self.end_ns),
            due=self.due,
        )


class Streams(Run):
    """Streams that last. Each gets a first message at once; when all have it, the replicas begin their steps."""

    def __init__(self, loop: Loop, task: Task) -> None:
        super().__init__(loop, task, connect(loop, task, StreamingAgent))
        self._opened = 0
        self._step_bytes = self._wanted_bytes = 0
        self._replicas = [replica_connection(loop, port) for port in task.replica_ports]

    def start(self) -> None:
        task = self.task
        order = Order(
            message_bytes=task.message_bytes,
            interval_ns=int(task.interval_ms * 1e6),
            is_spread=int(task.is_spread),
        )
        if task.interval_ms:
            self.due = round(task.streams * task.measured_s * 1e3 / task.interval_ms)
        for agent in self.agents:
            agent.body = order.request(task.prompt_bytes)
            if isinstance(agent, StreamingAgent):
                agent.on_first = self._on_first
        self.begin_all()
        for agent in self.agents:
            agent.flush()
        deadline_ns = now_ns() + _OPEN_NS
        self.loop.at(deadline_ns, lambda: None)
        self.loop.run(lambda: self._opened == task.streams or bool(self.ended) or now_ns() >= deadline_ns)
        if self._opened < task.streams or self.ended:
            raise Unable(f"{self._opened} of {task.streams} streams opened, {self.ended} ended")
        self._go()

    def on_end(self, agent: Agent, ask: Ask) -> None:
        self.ended += 1
        self.failed += now_ns() < self.end_ns

    def _on_first(self) -> None:
        self._opened += 1

    def _go(self) -> None:
        for agent in self.agents:
            if isinstance(agent, StreamingAgent) and self.task.interval_ms:
                agent.message_bytes = self.task.message_bytes + 5
                agent.latencies = self.latencies
            else:
                agent.counted_word = (self.task.message_bytes + 5) << 8 | DATA
        self.measure_soon()
        if not self.task.interval_ms:
            self._step_bytes = self.task.streams * (self.task.message_bytes + 5)
            self._wanted_bytes = self.received_bytes() + self._step_bytes
            for agent in self.agents:
                if isinstance(agent, StreamingAgent):
                    agent.on_more = self._step_when_whole
        self._command(GO)
        # A little later, so that the last moment that counts is like all others.
        self.loop.at(self.end_ns + NS // 50, partial(self._command, STOP))

    def _step_when_whole(self) -> None:
        """Ask for the next step when all have their message of the last one, so that no stream's messages queue up."""
        if self.received_bytes() >= self._wanted_bytes and now_ns() < self.end_ns:
            self._wanted_bytes += self._step_bytes
            self._command(GO)

    def _command(self, command: int) -> None:
        for replica in self._replicas:
            replica.body = Order(command=command).request(0)
            replica.begin(0)
            replica.flush()


class Closed(Run):
    """RPCs of one message, so many at a time."""

    def __init__(self, loop: Loop, task: Task) -> None:
        super().__init__(loop, task, connect(loop, task, Agent))

    def start(self) -> None:
        self.measure_soon()
        _order_one_message(self)
        self.begin_all()

    def on_end(self, agent: Agent, ask: Ask) -> None:
        self.ended += 1
        self.failed += not ask.has_data
        now = now_ns()
        if now < self.end_ns and agent.is_open:
            agent.begin(now)


class Open(Run):
    """RPCs of one message, so many a second, at moments that nothing delays."""

    def __init__(self, loop: Loop, task: Task) -> None:
        super().__init__(loop, task, connect(loop, task, Agent))

    def start(self) -> None:
        self.measure_soon()
        _order_one_message(self)
        for number, due_at_ns in enumerate(self._arrivals()):
            self.due += due_at_ns >= self.begin_ns
            self.loop.at(due_at_ns, partial(self._begin, self.agents[number % len(self.agents)], due_at_ns))

    def on_end(self, agent: Agent, ask: Ask) -> None:
        self.ended += 1
        self.failed += not ask.has_data
        self.latencies.append((ask.due_at_ns, now_ns() - ask.due_at_ns))

    def _begin(self, agent: Agent, due_at_ns: int) -> None:
        agent.begin(due_at_ns)
        agent.flush()

    def _arrivals(self) -> Iterator[int]:
        """Arrivals of many that know nothing of each other: the gaps are exponential."""
        rng = random.Random(self.task.seed)
        due_at_ns = now_ns()
        while (due_at_ns := due_at_ns + int(rng.expovariate(self.task.rate) * NS)) < self.end_ns:
            yield due_at_ns


def _order_one_message(run: Run) -> None:
    body = Order(messages=1, message_bytes=run.task.message_bytes).request(run.task.prompt_bytes)
    for agent in run.agents:
        agent.body = body
