"""Connections to one replica: opened when needed, tried again by themselves, one failure told to all who wait."""

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.config import ConnectSettings
from gateway.errors import Limit
from gateway.http2 import frames
from gateway.http2.frames import Setting
from gateway.http2.limits import Limits
from gateway.http2.streams import NOBODY
from gateway.relay.pool import Pool
from gateway.relay.replica_connection import ConnectionWatcher, ReplicaConnection
from gateway.relay.socket_connection import Shared
from tests.gateway.relay.world import GENERATE, request_fields

REQUEST = request_fields(GENERATE)


class Socket(asyncio.Transport):
    """Takes all that is written."""

    def __init__(self) -> None:
        super().__init__()
        self.is_cut = False

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def close(self) -> None:
        self.is_cut = True

    def is_closing(self) -> bool:
        return self.is_cut


class FakeConnector:
    """Answers each try as the test says: a number of streams, or an error."""

    def __init__(self) -> None:
        self.tries: asyncio.Queue[None] = asyncio.Queue()
        self.answers: asyncio.Queue[int | OSError] = asyncio.Queue()
        self.made: list[ReplicaConnection] = []
        self._shared = Shared.made(asyncio.get_running_loop().call_soon, lambda: 0.0)

    async def connect(self, address: str, watcher: ConnectionWatcher) -> ReplicaConnection:
        self.tries.put_nowait(None)
        answer = await self.answers.get()
        if isinstance(answer, OSError):
            raise answer
        ready = asyncio.get_running_loop().create_future()
        connection = ReplicaConnection(self._shared, Limits(), watcher, ready)
        connection.connection_made(Socket())
        connection.data_received(frames.settings([(Setting.MAX_CONCURRENT_STREAMS, answer)]))
        self.made.append(connection)
        return connection


class Waiter:
    def __init__(self) -> None:
        self.connection: ReplicaConnection | None = None
        self.failure = ""

    def on_connected(self, connection: ReplicaConnection) -> None:
        self.connection = connection
        connection.http2.open_stream(REQUEST, NOBODY)

    def on_connect_failed(self, message: str) -> None:
        self.failure = message


class Bench:
    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.connector = FakeConnector()
        self.usable: list[bool] = []
        self.limits: list[Limit] = []
        settings = ConnectSettings(backoff_base_s=0.001, backoff_max_s=0.002)
        rng = random.Random(1)
        spawn: Any = tasks.create_task
        self.pool = Pool("replica:1", settings, self.connector, spawn, rng, self)

    # PoolWatcher.

    def on_usable(self, is_usable: bool) -> None:
        self.usable.append(is_usable)

    def on_limit(self, limit: Limit) -> None:
        self.limits.append(limit)

    def acquire(self) -> Waiter:
        waiter = Waiter()
        self.pool.acquire(waiter)
        return waiter

    async def answer(self, answer: int | OSError) -> None:
        """Let the next try end like this."""
        await self.connector.tries.get()
        self.connector.answers.put_nowait(answer)
        await turns()


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@asynccontextmanager
async def a_bench() -> AsyncGenerator[Bench]:
    async with asyncio.TaskGroup() as tasks:
        bench = Bench(tasks)
        yield bench
        bench.pool.close()
        bench.connector.answers.put_nowait(OSError("the test is over"))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with a_bench() as made:
        yield made


async def test_those_who_wait_share_the_first_connection(bench: Bench) -> None:
    waiters = [bench.acquire() for _ in range(3)]
    await bench.answer(100)
    assert {waiter.connection for waiter in waiters} == {bench.connector.made[0]}
    assert bench.acquire().connection is bench.connector.made[0]
    assert bench.usable == [True]


async def test_a_full_connection_gets_a_second_one_beside_it(bench: Bench) -> None:
    bench.pool.warm()
    await bench.answer(1)
    first, second = bench.acquire(), bench.acquire()
    assert first.connection is not None
    assert second.connection is None
    await bench.answer(1)
    assert second.connection is bench.connector.made[1]


async def test_the_place_of_a_stream_that_is_left_goes_to_who_waits(bench: Bench) -> None:
    bench.pool.warm()
    await bench.answer(1)
    first, second = bench.acquire(), bench.acquire()
    assert second.connection is None
    assert first.connection is not None
    [stream] = first.connection.http2.streams.values()
    first.connection.cancel(stream)
    assert second.connection is first.connection


async def test_a_connection_whose_stream_ids_are_used_up_is_replaced(bench: Bench) -> None:
    bench.pool.warm()
    await bench.answer(100)
    first = bench.acquire()
    [used_up] = bench.connector.made
    used_up.http2.last_stream_id = frames.MAX_STREAM_ID
    second = bench.acquire()
    await bench.answer(100)
    assert first.connection is used_up
    assert second.connection is bench.connector.made[1]
    bench.pool.sweep(0.0)
    assert [each.http2.is_draining for each in bench.connector.made] == [True, False]


async def test_a_stream_that_ends_makes_room_for_who_waits(bench: Bench) -> None:
    bench.pool.warm()
    await bench.answer(1)
    first, second = bench.acquire(), bench.acquire()
    assert first.connection is not None
    first.connection.http2.streams.clear()
    bench.pool.on_room(first.connection)
    assert second.connection is first.connection


async def test_one_failure_is_told_to_all_who_wait_and_tried_again(bench: Bench) -> None:
    waiters = [bench.acquire() for _ in range(2)]
    await bench.answer(ConnectionRefusedError("nobody listens"))
    assert all("nobody listens" in waiter.failure for waiter in waiters)
    assert bench.usable == [False]
    await bench.answer(100)
    assert bench.usable == [False, True]
    assert bench.acquire().connection is bench.connector.made[0]


async def test_a_lost_connection_is_of_no_use_until_there_is_another(bench: Bench) -> None:
    bench.pool.warm()
    await bench.answer(100)
    bench.connector.made[0].connection_lost(None)
    assert bench.usable == [True, False]
    await bench.answer(100)
    assert bench.usable == [True, False, True]


async def test_after_a_farewell_the_replica_counts_as_untried(bench: Bench) -> None:
    bench.pool.warm()
    await bench.answer(100)
    bench.connector.made[0].http2.is_draining = True
    bench.connector.made[0].connection_lost(None)
    assert bench.usable == [True]
    await bench.answer(100)


async def test_a_draining_connection_is_not_given_to_anybody(bench: Bench) -> None:
    bench.pool.warm()
    await bench.answer(100)
    bench.connector.made[0].http2.is_draining = True
    waiter = bench.acquire()
    assert waiter.connection is None
    await bench.answer(100)
    assert waiter.connection is bench.connector.made[1]


async def test_who_has_left_is_not_told(bench: Bench) -> None:
    waiter = bench.acquire()
    bench.pool.forget(waiter)
    await bench.answer(100)
    assert waiter.connection is None
    assert not waiter.failure


async def test_a_closed_pool_says_nothing_of_the_replica_any_more(bench: Bench) -> None:
    bench.pool.warm()
    await turns()
    bench.pool.close()
    await bench.answer(ConnectionRefusedError("nobody listens"))
    assert bench.usable == []


async def test_closing_tells_who_waits_and_lets_streams_finish(bench: Bench) -> None:
    bench.pool.warm()
    await bench.answer(1)
    running, waiting = bench.acquire(), bench.acquire()
    bench.pool.close()
    assert waiting.failure
    assert running.connection is not None
    assert running.connection.http2.is_draining
    assert not running.connection.is_closing


async def test_a_replica_that_floods_loses_its_connection_and_the_watcher_is_told(bench: Bench) -> None:
    bench.acquire()
    await bench.answer(10)
    (connection,) = bench.connector.made
    burst = Limits().idle_frames.burst
    connection.data_received(frames.frame(frames.PING, 0, 0, bytes(8)) * (burst - 1))
    assert not bench.limits
    connection.data_received(frames.frame(frames.PING, 0, 0, bytes(8)) * 2)
    assert bench.limits == [Limit.IDLE_FRAMES]
    assert connection.is_closing
