import asyncio
import errno
import os
import resource
import socket
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager

import pytest

from gateway.control import listener as listener_module
from gateway.control.listener import Listener, bind
from gateway.errors import SettingsError


class Accepting:
    def __init__(self, address: str) -> None:
        self.accepted: asyncio.Queue[socket.socket] = asyncio.Queue()
        self.addresses: list[str] = []
        """Of peers, as told: also of one that was not taken."""
        self.is_busy = False
        self.refusals = 0
        self.listener = Listener(bind(address), self._take, 7.0)
        self.listener.start()

    def _take(self, accepted: socket.socket, address: str) -> bool:
        self.addresses.append(address)
        if self.is_busy:
            self.refusals += 1
        else:
            self.accepted.put_nowait(accepted)
        return not self.is_busy

    async def next(self) -> socket.socket:
        async with asyncio.timeout(10):
            return await self.accepted.get()


@asynccontextmanager
async def accepting(address: str = "127.0.0.1:0") -> AsyncGenerator[Accepting, None]:
    accepting = Accepting(address)
    try:
        yield accepting
    finally:
        accepting.listener.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def test_each_connection_is_accepted_without_delay_of_small_writes() -> None:
    async with accepting() as them:
        for _ in range(100):
            with socket.create_connection(("127.0.0.1", them.listener.port)) as agent, await them.next() as accepted:
                assert accepted.getpeername() == agent.getsockname()
                assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                assert not accepted.getblocking()


@pytest.mark.parametrize(("timeout_s", "expected"), [(120.0, [1, 60, 20, 120_000]), (1.0, [1, 1, 1, 1_000])])
async def test_tcp_gives_up_an_agent_as_the_setting_says(timeout_s: float, expected: list[int]) -> None:
    async with accepting() as them:
        # It may change while connections come.
        them.listener.give_up_after(timeout_s)
        with socket.create_connection(("127.0.0.1", them.listener.port)), await them.next() as accepted:
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_USER_TIMEOUT)
            found = [accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)]
            assert found + [accepted.getsockopt(socket.IPPROTO_TCP, option) for option in options] == expected


async def test_an_agent_that_takes_nothing_is_given_up_by_tcp() -> None:
    loop = asyncio.get_running_loop()
    async with accepting() as them, asyncio.timeout(30):
        them.listener.give_up_after(1.0)
        with socket.create_connection(("127.0.0.1", them.listener.port)), await them.next() as accepted:
            with pytest.raises(OSError, match="timed out") as given_up:
                await loop.sock_sendall(accepted, bytes(64 * 1024 * 1024))
            assert given_up.value.errno == errno.ETIMEDOUT


async def test_a_host_with_two_addresses_listens_on_both_at_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[object, ...]] = [
        (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", 0, 0, 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
    ]

    def getaddrinfo(*_: object, **__: object) -> list[tuple[object, ...]]:
        return found

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with accepting("both.test:0") as them:
        monkeypatch.undo()
        for host in ("::1", "127.0.0.1"):
            with socket.create_connection((host, them.listener.port)), await them.next():
                assert them.addresses.pop() == host
        assert them.listener.address == f"[::1]:{them.listener.port}"


@pytest.mark.parametrize(
    ("address", "reason"),
    [("192.0.2.1:0", "Cannot assign requested address"), ("no.such.host.invalid:80", "")],
)
def test_an_address_that_cannot_be_had_is_told_in_one_line(address: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=rf"^listen: cannot listen on {address}: {reason}[^\n]*$"):
        bind(address)


def test_a_port_in_use_is_told_in_one_line() -> None:
    (taken,) = bind("127.0.0.1:0")
    with taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(SettingsError, match=f"^listen: cannot listen on {address}: the port is in use$"):
            bind(address)


async def test_while_it_pauses_agents_wait_and_are_not_refused() -> None:
    async with accepting() as them:
        them.listener.pause()
        with socket.create_connection(("127.0.0.1", them.listener.port)) as agent:
            for _ in range(10):
                await asyncio.sleep(0)
            assert them.accepted.empty()
            them.listener.start()
            with await them.next() as accepted:
                assert accepted.getpeername() == agent.getsockname()


async def test_once_closed_it_refuses() -> None:
    async with accepting() as them:
        port = them.listener.port
        them.listener.close()
        them.listener.start()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


async def test_without_free_descriptors_it_waits_instead_of_spinning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener_module, "_PAUSE_S", 0.01)
    async with accepting() as them:
        with socket.create_connection(("127.0.0.1", them.listener.port)) as agent:
            with no_descriptor_left():
                await until(lambda: caplog.text.count("event=accept_paused") >= 2)
                assert them.accepted.empty()
            with await them.next() as accepted:
                assert accepted.getpeername() == agent.getsockname()


@contextmanager
def no_descriptor_left() -> Generator[None, None, None]:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    fillers = [os.dup(0)]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, limits[1]))
        while True:
            fillers.append(os.dup(0))
    except OSError:
        yield
    finally:
        for filler in fillers:
            os.close(filler)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


async def test_while_nobody_takes_connections_agents_wait() -> None:
    async with accepting() as them:
        them.is_busy = True
        address = ("127.0.0.1", them.listener.port)
        with socket.create_connection(address) as first, socket.create_connection(address) as second:
            await until(lambda: them.refusals > 2)
            assert them.accepted.empty()
            assert set(them.addresses) == {"127.0.0.1"}
            them.is_busy = False
            for agent in (first, second):
                with await them.next() as accepted:
                    assert accepted.getpeername() == agent.getsockname()


async def test_who_waits_when_it_is_closed_is_told() -> None:
    async with accepting() as them:
        them.is_busy = True
        with socket.create_connection(("127.0.0.1", them.listener.port)) as agent:
            await until(lambda: them.refusals)
            them.listener.close()
            assert await asyncio.to_thread(agent.recv, 1) == b""
