"""Both clients against a server: the async one as it is, the sync one in a thread."""

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest

from gateway.client import Client, Completion, FinishReason, GenerateDelta, Model, Stream, SyncClient
from gateway.client.errors import (
    Cancelled,
    DataLoss,
    DeadlineExceeded,
    InvalidRequest,
    NoReplicaReady,
    ReplicaFailed,
    Unavailable,
)
from gateway.errors import Failure, Reason
from inference.v1 import inference_pb2 as pb
from tests.gateway.client.fakes import FakeServer, Script, serving, words

T = TypeVar("T")

NOT_READY = Failure(Reason.NO_REPLICA_READY, "no replica is ready", retry_after_s=0.001)
DIED = Failure(Reason.REPLICA_FAILED, "the replica died", retry_after_s=0.001)


class Agent:
    """One way of calling. What is tested with it holds for both."""

    async def read(self, server: FakeServer, show: Callable[[GenerateDelta], None], **options: Any) -> None:
        """Generate, showing each delta as it comes."""
        async with Client(server.address) as client:
            async for delta in client.generate("hi", **options):
                show(delta)

    async def collect(self, server: FakeServer, **options: Any) -> Completion:
        async with Client(server.address) as client:
            return await client.generate("hi", **options).collect()

    async def leave_after_one(self, server: FakeServer) -> None:
        """Read one delta, leave the loop, and see that the server notices while the client is still open."""
        async with Client(server.address) as client:
            stream = client.generate("hi")
            async for _ in stream:
                break
            await server.is_idle()
            del stream  # Until now something held the call.

    async def models(self, server: FakeServer, **options: Any) -> list[Model]:
        async with Client(server.address) as client:
            return await client.models(**options)


class SyncAgent(Agent):
    async def read(self, server: FakeServer, show: Callable[[GenerateDelta], None], **options: Any) -> None:
        def run(client: SyncClient) -> None:
            for delta in client.generate("hi", **options):
                show(delta)

        await in_thread(server, run)

    async def collect(self, server: FakeServer, **options: Any) -> Completion:
        return await in_thread(server, lambda client: client.generate("hi", **options).collect())

    async def leave_after_one(self, server: FakeServer) -> None:
        def run(client: SyncClient) -> None:
            stream = client.generate("hi")
            for _ in stream:
                break
            anyio.from_thread.run(server.is_idle)
            del stream

        await in_thread(server, run)

    async def models(self, server: FakeServer, **options: Any) -> list[Model]:
        return await in_thread(server, lambda client: client.models(**options))


async def in_thread(server: FakeServer, run: Callable[[SyncClient], T]) -> T:
    def with_client() -> T:
        with SyncClient(server.address) as client:
            return run(client)

    return await anyio.to_thread.run_sync(with_client)


async def read(stream: Stream[GenerateDelta, Completion], then: Callable[[], object]) -> None:
    async for _ in stream:
        then()


@pytest.fixture(params=[Agent, SyncAgent])
def agent(request: pytest.FixtureRequest) -> Agent:
    return request.param()


async def test_streams_deltas_in_order(agent: Agent) -> None:
    seen: list[GenerateDelta] = []
    async with serving(Script(words("a", "b", "c"))) as server:
        await agent.read(server, seen.append)
    assert [delta.text for delta in seen] == ["a", "b", "c"]
    assert [delta.finish_reason for delta in seen] == [None, None, FinishReason.STOP]
    assert seen[-1].usage is not None


async def test_collects_the_whole(agent: Agent) -> None:
    async with serving(Script(words("a", "b", "c"))) as server:
        completion = await agent.collect(server)
    assert (completion.text, completion.token_ids) == ("abc", (100, 101, 102))
    assert completion.finish_reason is FinishReason.STOP
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (3, 3)


async def test_leaving_the_loop_ends_the_request_on_the_server(agent: Agent) -> None:
    async with serving(Script(words("a", "b")[:1], hangs=True)) as server:
        await agent.leave_after_one(server)
        assert len(server.requests) == 1


async def test_raises_what_the_server_says(agent: Agent) -> None:
    failure = Failure(Reason.INVALID_REQUEST, "top_p is above 1", metadata={"field": "sampling.top_p"})
    async with serving(Script(failure=failure)) as server:
        with pytest.raises(InvalidRequest, match=r"INVALID_REQUEST: top_p is above 1") as raised:
            await agent.collect(server, top_p=7.0, retries=3)
    assert raised.value.field == "sampling.top_p"
    assert not raised.value.retry_makes_sense
    assert len(server.requests) == 1


async def test_the_deadline_goes_to_the_server_and_ends_the_call(agent: Agent) -> None:
    async with serving(Script(words("a", "b")[:1], hangs=True)) as server:
        with pytest.raises(DeadlineExceeded):
            await agent.collect(server, timeout_s=0.2)
        await server.is_idle()
    assert 0 < server.time_left_s[0] <= 0.2


async def test_begins_again_where_nothing_was_received(agent: Agent) -> None:
    seen: list[GenerateDelta] = []
    async with serving(Script(failure=NOT_READY), Script(failure=NOT_READY), Script(words("a"))) as server:
        await agent.read(server, seen.append, retries=2)
    assert [delta.text for delta in seen] == ["a"]
    assert len(server.requests) == 3


async def test_never_begins_again_what_was_shown(agent: Agent) -> None:
    seen: list[GenerateDelta] = []
    async with serving(Script(words("a", "b")[:1], failure=DIED), Script(words("a", "b"))) as server:
        with pytest.raises(ReplicaFailed) as raised:
            await agent.read(server, seen.append, retries=2)
    assert [delta.text for delta in seen] == ["a"]
    assert raised.value.retry_after_s == 0.001
    assert len(server.requests) == 1


async def test_collect_begins_again_at_any_time_and_drops_what_it_had(agent: Agent) -> None:
    async with serving(Script(words("a", "b")[:1], failure=DIED), Script(words("x", "y"))) as server:
        completion = await agent.collect(server, retries=1)
    assert completion.text == "xy"


async def test_gives_up_when_the_retries_are_used_up(agent: Agent) -> None:
    async with serving(Script(failure=NOT_READY)) as server:
        with pytest.raises(NoReplicaReady):
            await agent.collect(server, retries=2)
        assert len(server.requests) == 3


async def test_unary_calls_are_begun_again_too(agent: Agent) -> None:
    async with serving(Script(failure=NOT_READY), Script()) as server:
        models = await agent.models(server, retries=1)
    assert models == [Model("tiny", 4096, (), 0, 2)]
    assert len(server.requests) == 2


async def test_never_waits_past_the_deadline(agent: Agent) -> None:
    later = Failure(Reason.NO_REPLICA_READY, "not ready", retry_after_s=60)
    async with serving(Script(failure=later)) as server:
        with anyio.fail_after(5), pytest.raises(NoReplicaReady):
            await agent.collect(server, retries=5, timeout_s=10)


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([*words("a", "b", "c")[:1], *words("a", "b", "c")[2:]], id="missing"),
        pytest.param([words("a", "b")[0], *words("a", "b")], id="doubled"),
        pytest.param(words("a", "b")[:1], id="ended before the choice did"),
        pytest.param([], id="empty"),
        pytest.param([pb.GenerateResponse(index=3)], id="a choice nobody asked for"),
    ],
)
async def test_a_stream_with_a_gap_is_an_error(agent: Agent, messages: list[pb.GenerateResponse]) -> None:
    async with serving(Script(messages)) as server:
        with pytest.raises(DataLoss):
            await agent.collect(server)
        await server.is_idle()


async def test_says_unavailable_where_nobody_listens(agent: Agent) -> None:
    async with serving() as server:
        pass
    with pytest.raises(Unavailable) as raised:
        await agent.collect(server, timeout_s=5)
    assert raised.value.retry_makes_sense


async def test_cancel_ends_the_reading_with_an_error_of_its_own() -> None:
    async with serving(Script(words("a", "b")[:1], hangs=True)) as server, Client(server.address) as client:
        stream = client.generate("hi")
        with pytest.raises(Cancelled):
            await read(stream, then=stream.cancel)
        await server.is_idle()


async def test_cancel_from_another_task_wakes_the_reader() -> None:
    async with serving(Script(words("a", "b")[:1], hangs=True)) as server, Client(server.address) as client:
        stream = client.generate("hi")
        received = anyio.Event()

        async def reader() -> None:
            with pytest.raises(Cancelled):
                await read(stream, then=received.set)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader)
            await received.wait()
            stream.cancel()


async def test_cancel_ends_the_wait_before_a_retry() -> None:
    later = Failure(Reason.NO_REPLICA_READY, "not ready", retry_after_s=60)
    async with serving(Script(failure=later)) as server, Client(server.address) as client:
        stream = client.generate("hi", retries=5)

        async def reader() -> None:
            with pytest.raises(Cancelled):
                await stream.collect()

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(reader)
                while not server.requests:
                    await anyio.sleep(0.005)
                stream.cancel()


async def test_cancel_from_another_thread_wakes_the_reader() -> None:
    async with serving(Script(words("a", "b")[:1], hangs=True)) as server:

        def run(client: SyncClient) -> None:
            stream = client.generate("hi")
            deltas = iter(stream)
            next(deltas)
            thread = threading.Thread(target=stream.cancel)
            thread.start()
            with pytest.raises(Cancelled):
                next(deltas)
            thread.join()

        await in_thread(server, run)
        await server.is_idle()


async def test_a_cancelled_task_ends_the_request_and_stays_cancelled() -> None:
    async with serving(Script(words("a", "b")[:1], hangs=True)) as server, Client(server.address) as client:
        with anyio.move_on_after(0.1) as scope:
            await client.generate("hi").collect()
        assert scope.cancelled_caught
        await server.is_idle()


async def test_a_stream_held_by_async_with_ends_with_it() -> None:
    async with serving(Script(words("a", "b")[:1], hangs=True)) as server, Client(server.address) as client:
        async with client.generate("hi") as stream:
            deltas = aiter(stream)
            await anext(deltas)
            assert server.running == 1
        await server.is_idle()
        with pytest.raises(Cancelled):
            await anext(deltas)


async def test_a_dropped_iterator_ends_the_request() -> None:
    async with serving(Script(words("a", "b")[:1], hangs=True)) as server, Client(server.address) as client:
        stream = client.generate("hi")
        await anext(aiter(stream))
        gc.collect()
        await server.is_idle()


async def test_what_was_never_read_was_never_asked() -> None:
    async with serving(Script(words("a"))) as server, Client(server.address) as client:
        stream = client.generate("hi")
        stream.cancel()
        with pytest.raises(Cancelled):
            await stream.collect()
    assert server.requests == []


async def test_a_stream_is_read_once() -> None:
    async with serving(Script(words("a"))) as server, Client(server.address) as client:
        stream = client.generate("hi")
        assert [delta.text async for delta in stream] == ["a"]
        assert (await stream.collect()).text == "a"
        with pytest.raises(RuntimeError, match="once"):
            await anext(aiter(stream))
    assert len(server.requests) == 1


async def test_one_client_streams_to_many_tasks_over_several_connections() -> None:
    texts: list[str] = []
    async with serving(Script(words("a", "b"))) as server, Client(server.address, connections=3) as client:

        async def ask() -> None:
            texts.append((await client.generate("hi").collect()).text)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(50):
                tasks.create_task(ask())
    assert texts == ["ab"] * 50
    assert len(set(server.peers)) == 3
