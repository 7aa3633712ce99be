"""A worker process without a data plane, told by its first argument what to do wrong.

It greets each agent with its process id, and ends with code 3 when one says `crash`.
"""

import argparse
import asyncio
import os
import socket
import sys
import time

from gateway.channel.channel import Channel, open_worker_end
from gateway.channel.descriptors import DescriptorReceiver
from gateway.channel.messages import (
    AskMetrics,
    Configure,
    Down,
    Drain,
    Metrics,
    Outcome,
    OutcomeKind,
    Outcomes,
    Prepare,
    Prepared,
    Reconfigure,
    Up,
    WorkerReady,
)
from gateway.channel.shared_memory import SharedMemory
from gateway.fleet.presence import BEAT_INTERVAL_S, Presence
from gateway.fleet.shared_counters import Cell, Rows, SharedTally
from gateway.metrics import Registry


class FakeWorker:
    def __init__(self, mode: str, memory: memoryview, tasks: asyncio.TaskGroup) -> None:
        self._mode = mode
        self._memory = memory
        self._tasks = tasks
        self._registry = Registry()
        self._adopted = self._registry.counter("inference_gateway_adopted_total", "").child()
        self._held = self._registry.gauge("inference_gateway_held", "").child()
        self._agents: set[asyncio.Task[None]] = set()
        self._policy = ""
        self._ending = asyncio.Event()
        self._channel: Channel[Up, Down]
        self._presence: Presence
        self._parked: SharedTally

    async def run(self, channel_end: socket.socket, descriptors_end: socket.socket) -> None:
        receiver = DescriptorReceiver(descriptors_end, self._adopt, lambda network: None)
        self._channel = await open_worker_end(channel_end, self._obey, lambda _: self._ending.set())
        await self._ending.wait()
        receiver.close()
        for agent in self._agents:
            agent.cancel()
        self._channel.close()

    def _obey(self, message: Down) -> None:
        match message:
            case Configure() if self._mode != "silent":
                self._policy = message.settings.policy
                self._join(message)
                self._channel.send(WorkerReady())
                self._channel.send(Outcomes([Outcome("a", 1, OutcomeKind.ANSWERED)]))
            case AskMetrics():
                self._held.set(len(self._agents))
                self._channel.send(Metrics(message.id, self._registry.dump()))
            case Prepare() if self._mode != "mute":
                self._channel.send(Prepared(message.id, "no" if message.settings.policy == self._mode else ""))
            case Reconfigure():
                self._policy = message.settings.policy
            case Drain() if self._mode != "stubborn":
                self._ending.set()
            case _:
                pass

    def _join(self, configure: Configure) -> None:
        rows = Rows(self._memory, configure.workers)
        self._presence = Presence(rows, configure.worker_id)
        self._parked = SharedTally(rows, configure.worker_id, Cell.PARKED_REQUESTS)
        self._beat()

    def _beat(self) -> None:
        self._presence.beat(0)
        asyncio.get_running_loop().call_later(BEAT_INTERVAL_S, self._beat)

    def _adopt(self, accepted: socket.socket, network: int) -> None:
        self._adopted.add()
        agent = self._tasks.create_task(self._greet(accepted))
        self._agents.add(agent)
        agent.add_done_callback(lambda agent: self._left(agent, network))
        self._count()

    def _left(self, agent: asyncio.Task[None], network: int) -> None:
        self._agents.discard(agent)
        self._presence.connection_ended(network)
        self._count()

    def _count(self) -> None:
        if self._mode == "busy":
            self._parked.set(len(self._agents))

    async def _greet(self, accepted: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=accepted)
        writer.write(b"%d %s\n" % (os.getpid(), self._policy.encode()))
        while said := await reader.readline():
            if said == b"crash\n":
                os._exit(3)
        writer.close()


async def main(options: argparse.Namespace) -> None:
    ends = socket.socket(fileno=options.channel_fd), socket.socket(fileno=options.descriptors_fd)
    memory = SharedMemory(options.memory_fd).view
    async with asyncio.TaskGroup() as tasks:
        await FakeWorker(options.mode, memory, tasks).run(*ends)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["well", "dies", "silent", "deaf", "stubborn", "busy", "mute", "random"])
    parser.add_argument("--channel-fd", type=int)
    parser.add_argument("--descriptors-fd", type=int)
    parser.add_argument("--memory-fd", type=int)
    parsed = parser.parse_args()
    if parsed.mode == "dies":
        sys.exit(5)
    if parsed.mode == "deaf":
        time.sleep(60)
    asyncio.run(main(parsed))
