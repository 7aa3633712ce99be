"""A worker process without a data plane, told by its first argument what to do wrong.

It greets each agent with its process id, and ends with code 3 when one says `crash`.
"""

import argparse
import asyncio
import os
import socket
import sys
import time

from gateway.channel.channel import open_worker_end
from gateway.channel.descriptors import DescriptorReceiver
from gateway.channel.messages import (
    AskMetrics,
    Configure,
    Counts,
    Down,
    Drain,
    Metrics,
    Outcome,
    OutcomeKind,
    WorkerReady,
)
from gateway.metrics import Registry


async def work(mode: str, channel_end: socket.socket, descriptors_end: socket.socket) -> None:
    agents: set[asyncio.Task[None]] = set()
    registry = Registry()
    adopted = registry.counter("inference_gateway_adopted_total", "").child()
    held = registry.gauge("inference_gateway_held", "").child()
    ending = asyncio.Event()

    async def greet(accepted: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=accepted)
        writer.write(b"%d\n" % os.getpid())
        while said := await reader.readline():
            if said == b"crash\n":
                os._exit(3)
        writer.close()

    def adopt(accepted: socket.socket) -> None:
        adopted.add()
        agents.add(task := tasks.create_task(greet(accepted)))
        task.add_done_callback(agents.discard)
        channel.send(Counts(len(agents), len(agents)))

    def obey(message: Down) -> None:
        match message:
            case Configure():
                if mode != "silent":
                    channel.send(WorkerReady())
                    channel.send(Outcome("a", 1, OutcomeKind.ANSWERED))
            case AskMetrics():
                held.set(len(agents))
                channel.send(Metrics(message.id, registry.dump()))
            case Drain() if mode != "stubborn":
                ending.set()
            case _:
                pass

    async with asyncio.TaskGroup() as tasks:
        DescriptorReceiver(descriptors_end, adopt)
        channel = await open_worker_end(channel_end, obey, lambda _: ending.set())
        await ending.wait()
        for agent in list(agents):
            agent.cancel()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode")
    parser.add_argument("--channel-fd", type=int)
    parser.add_argument("--descriptors-fd", type=int)
    options = parser.parse_args()
    if options.mode == "dies":
        sys.exit(5)
    if options.mode == "deaf":
        time.sleep(60)
    ends = socket.socket(fileno=options.channel_fd), socket.socket(fileno=options.descriptors_fd)
    asyncio.run(work(options.mode, *ends))


if __name__ == "__main__":
    main()
