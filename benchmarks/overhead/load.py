"""Agents that cost next to nothing: raw HTTP/2 from prebuilt buffers, answers counted and thrown away.

    python -m benchmarks.overhead.load

Each line of input is a Task as JSON; the answer is its Result, or Refused. CPU clocks are read here, at the first and
the last moment of what counts, so that neither warming up nor finishing is part of it.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping

import msgspec

from benchmarks.overhead.agent import Agent, Ask
from benchmarks.overhead.connecting import Unable, connect
from benchmarks.overhead.loop import Loop, now_ns
from benchmarks.overhead.orders import Order
from benchmarks.overhead.runs import NS, Closed, Open, Run, Streams
from benchmarks.overhead.tasks import Refused, Result, Task

_HELD_AT_ONCE, _HELD_EVERY_NS = 100, NS // 100
"""Held streams begin bit by bit: a proxy that opens a connection to a replica for each must not overflow backlogs."""

_RUNS: Mapping[str, Callable[[Loop, Task], Run]] = {"stream": Streams, "closed": Closed, "open": Open}


class Held:
    """Connections, and streams on them that get no answer."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._agents: list[Agent] = []
        self._failed = 0

    def add(self, task: Task) -> Result:
        agents = connect(self._loop, task, Agent)
        self._agents += agents
        body = Order(is_held=1).request(task.prompt_bytes)
        for agent in agents:
            agent.body = body
            agent.on_end = self._on_end
        for number in range(task.streams):
            agent = agents[number % len(agents)]
            agent.begin(now_ns())
            agent.flush()
            if number % _HELD_AT_ONCE == 0:
                self._let_pass(_HELD_EVERY_NS)
        self._let_pass(int(task.measured_s * NS))
        return Result(failed=self._failed)

    def release(self) -> Result:
        for agent in self._agents:
            agent.on_end = None
            agent.close()
        self._agents.clear()
        self._failed = 0
        return Result()

    def _on_end(self, agent: Agent, ask: Ask) -> None:
        self._failed += 1

    def _let_pass(self, span_ns: int) -> None:
        over_at_ns = now_ns() + span_ns
        self._loop.at(over_at_ns, lambda: None)
        self._loop.run(lambda: now_ns() >= over_at_ns)


def perform(loop: Loop, held: Held, task: Task) -> Result:
    if task.kind == "hold":
        return held.add(task)
    if task.kind == "release":
        return held.release()
    return _RUNS[task.kind](loop, task).result()


class Input:
    """Lines of standard input, read without keeping the loop waiting: connections that are held go on being served."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._text = b""
        self._is_over = False
        loop.watch(sys.stdin.fileno(), self._read)

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self._loop.run(lambda: b"\n" in self._text or self._is_over)
            line, newline, self._text = self._text.partition(b"\n")
            if not newline:
                return
            yield line

    def _read(self, events: int) -> None:
        text = os.read(sys.stdin.fileno(), 65_536)
        self._text += text
        self._is_over = not text


def main() -> None:
    loop = Loop()
    held = Held(loop)
    for line in Input(loop):
        try:
            answer = perform(loop, held, msgspec.json.decode(line, type=Task))
        except (Unable, OSError) as error:
            answer = Refused(str(error))
        print(msgspec.json.encode(answer).decode(), flush=True)


if __name__ == "__main__":
    main()
