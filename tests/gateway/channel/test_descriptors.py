import asyncio
import os
import resource
import socket
from collections.abc import Callable

import pytest

from gateway.channel.descriptors import DescriptorReceiver, DescriptorSender, descriptors_pair

# The worker runs on uvloop, control on asyncio's own loop.
pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True})])


def connected() -> tuple[socket.socket, socket.socket]:
    """A TCP connection: an agent's end and the accepted one."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        agent = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        return agent, accepted


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class Worker:
    """The receiving end, with a queue of what came."""

    def __init__(self, end: socket.socket) -> None:
        self.accepted: asyncio.Queue[socket.socket] = asyncio.Queue()
        self.networks: list[int] = []
        """Of those that came."""
        self.lost: list[int] = []
        """Networks of those that did not."""
        self.receiver = DescriptorReceiver(end, self._on_accepted, self.lost.append)

    def _on_accepted(self, accepted: socket.socket, network: int) -> None:
        self.accepted.put_nowait(accepted)
        self.networks.append(network)


async def test_a_connection_handed_over_works_and_is_no_longer_ours() -> None:
    ends = descriptors_pair()
    sender, worker = DescriptorSender(ends[0]), Worker(ends[1])
    agent, accepted = connected()
    name = accepted.getpeername()
    assert sender.send(accepted, 1)
    assert accepted.fileno() == -1
    with agent, await worker.accepted.get() as adopted:
        assert adopted.family == socket.AF_INET
        assert adopted.getpeername() == name
        assert not adopted.getblocking()
        assert not adopted.get_inheritable()
        agent.sendall(b"hello")
        assert await asyncio.get_running_loop().sock_recv(adopted, 10) == b"hello"
    sender.close()
    worker.receiver.close()


async def test_many_arrive_each_once_and_no_descriptor_leaks() -> None:
    before = open_descriptors()
    ends = descriptors_pair()
    sender, worker = DescriptorSender(ends[0]), Worker(ends[1])
    pairs = [connected() for _ in range(200)]
    expected = [accepted.getpeername() for _, accepted in pairs]
    for number, (_, accepted) in enumerate(pairs):
        assert sender.send(accepted, number * 1_000)
    adopted = [await worker.accepted.get() for _ in pairs]
    assert [each.getpeername() for each in adopted] == expected
    assert worker.networks == [number * 1_000 for number in range(200)]
    for each in (*adopted, *(agent for agent, _ in pairs)):
        each.close()
    sender.close()
    worker.receiver.close()
    assert open_descriptors() == before


async def test_what_a_dead_worker_did_not_take_is_closed_and_the_next_is_refused() -> None:
    before = open_descriptors()
    control, for_worker = descriptors_pair()
    sender = DescriptorSender(control)
    agent, accepted = connected()
    assert sender.send(accepted, 1)
    for_worker.close()
    assert await asyncio.to_thread(agent.recv, 1) == b""
    late_agent, late = connected()
    assert not sender.send(late, 1)
    assert late.fileno() >= 0
    for each in (agent, late_agent, late):
        each.close()
    sender.close()
    assert open_descriptors() == before


def fill(sender: DescriptorSender, accepted: socket.socket) -> None:
    for _ in range(100_000):
        with accepted.dup() as copy:
            assert sender.send(copy, 1)


async def test_a_worker_that_takes_none_is_not_waited_for() -> None:
    control, for_worker = descriptors_pair()
    sender = DescriptorSender(control)
    agent, accepted = connected()
    with agent, for_worker, pytest.raises(BlockingIOError):
        fill(sender, accepted)
    accepted.close()
    sender.close()


async def test_the_end_of_control_ends_receiving_after_the_last_one() -> None:
    ends = descriptors_pair()
    sender, worker = DescriptorSender(ends[0]), Worker(ends[1])
    agent, accepted = connected()
    sender.send(accepted, 1)
    sender.close()
    with agent, await worker.accepted.get():
        await until(lambda: ends[1].fileno() == -1)
    worker.receiver.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_a_process_without_free_descriptors_drops_the_connection_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ends = descriptors_pair()
    sender, worker = DescriptorSender(ends[0]), Worker(ends[1])
    agent, accepted = connected()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    assert sender.send(accepted, 7)
    fillers: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        while True:
            fillers.append(os.dup(agent.fileno()))
    except OSError:
        pass
    try:
        await until(lambda: "descriptor_dropped" in caplog.text)
    finally:
        for fd in fillers:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (worker.lost, worker.accepted.empty()) == ([7], True)
    with agent:
        assert await asyncio.to_thread(agent.recv, 1) == b""
    another, accepted = connected()
    assert sender.send(accepted, 1)
    with another, await worker.accepted.get():
        pass
    sender.close()
    worker.receiver.close()
