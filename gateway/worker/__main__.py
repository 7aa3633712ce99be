"""A worker process: relays what agents and replicas say to each other. Started by control.

python -m gateway.worker --channel-fd N --descriptors-fd N --memory-fd N
"""

import argparse
import asyncio
import ctypes
import functools
import gc
import logging
import signal
import socket
from typing import NamedTuple

import uvloop

from gateway import logs
from gateway.channel.channel import open_worker_end
from gateway.channel.messages import Configure, Down, Drain, FleetChanged, WorkerReady
from gateway.channel.shared_memory import SharedMemory
from gateway.worker.worker import Worker

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""glibc's malloc.h."""
_KEPT_BYTES = 16 * 1024 * 1024
"""Of free memory: the rest is given back."""
_LARGE_BYTES = 16 * 1024 * 1024
"""What is larger has pages of its own, which go back with it: no request is (`request_bytes`). For one of 4 MiB, to
get them anew took four times as long as to join and to parse it."""


class Ends(NamedTuple):
    """What a worker is started with."""

    channel: socket.socket
    descriptors: socket.socket
    memory: SharedMemory


async def serve(ends: Ends, tasks: asyncio.TaskGroup) -> None:
    """Do what control says until it asks to drain, or is gone, and the last stream has ended."""
    inbox: asyncio.Queue[Down | None] = asyncio.Queue()
    hang_up = functools.partial(inbox.put_nowait, None)
    channel = await open_worker_end(ends.channel, inbox.put_nowait, lambda error: hang_up())
    configure = await inbox.get()
    fleet = await inbox.get()
    if not isinstance(configure, Configure) or not isinstance(fleet, FleetChanged):
        return
    logging.getLogger().setLevel(configure.settings.log_level.upper())
    worker = Worker(configure, ends.memory.view, channel.send, tasks.create_task)
    worker.obey(fleet)
    worker.start(ends.descriptors)
    channel.send(WorkerReady())
    draining: asyncio.Task[None] | None = None
    while draining is None or not draining.done():
        match await inbox.get():
            case None | Drain() | Configure() as message:
                if draining is None:
                    grace_s = message.grace_s if isinstance(message, Drain) else worker.grace_s
                    draining = tasks.create_task(worker.drain(grace_s))
                    draining.add_done_callback(lambda task: hang_up())
            case message:
                worker.obey(message)
    worker.close()
    channel.close()


async def _run(ends: Ends) -> None:
    async with asyncio.TaskGroup() as tasks:
        await serve(ends, tasks)


def _tune_heap() -> None:
    """Where the C library is glibc: return to the system what imports have freed again, 2 MB. From then on keep what is
    free, to some size: to fault it in again for each prompt of 400 KB took a sixth of what such a prompt costs."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m gateway.worker")
    parser.add_argument("--channel-fd", type=int, required=True)
    parser.add_argument("--descriptors-fd", type=int, required=True)
    parser.add_argument("--memory-fd", type=int, required=True)
    arguments = parser.parse_args()
    logs.configure("info")
    # A terminal's Ctrl-C and an init system's SIGTERM reach all processes; control decides what they mean for us.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    _tune_heap()
    # What start-up has made lives for ever: collections need not look at it.
    gc.freeze()
    channel, descriptors = socket.socket(fileno=arguments.channel_fd), socket.socket(fileno=arguments.descriptors_fd)
    uvloop.run(_run(Ends(channel, descriptors, SharedMemory(arguments.memory_fd))))


if __name__ == "__main__":
    main()
