"""Conversations."""

import pytest

from gateway.client import Client, Message, SyncClient
from gateway.client.errors import NoReplicaReady
from gateway.errors import Failure, Reason
from inference.v1 import inference_pb2 as pb
from tests.gateway.client.fakes import FakeServer, Script, said, serving
from tests.gateway.client.test_client import in_thread


def asked(server: FakeServer, turn: int) -> list[str]:
    request = server.requests[turn]
    assert isinstance(request, pb.ChatRequest)
    return [message.parts[0].text for message in request.messages]


async def test_each_turn_brings_the_conversation_so_far() -> None:
    async with serving(Script(said("Hel", "lo")), Script(said("Fine"))) as server, Client(server.address) as client:
        session = client.session([Message("system", "Be brief.")], max_tokens=9)
        assert [delta.content async for delta in session.chat("Hi")] == ["Hel", "lo"]
        reply = await session.chat("How are you?", max_tokens=5).collect()
    assert asked(server, 0) == ["Be brief.", "Hi"]
    assert asked(server, 1) == ["Be brief.", "Hi", "Hello", "How are you?"]
    assert reply.content == "Fine"
    assert session.messages[-1] == reply.message
    first, second = (request for request in server.requests if isinstance(request, pb.ChatRequest))
    assert first.session_id == second.session_id == session.session_id != ""
    assert (first.sampling.max_tokens, second.sampling.max_tokens) == (9, 5)


async def test_the_same_without_asyncio() -> None:
    def talk(client: SyncClient) -> list[Message]:
        session = client.session(session_id="mine")
        for _ in session.chat("Hi"):
            pass
        session.chat({"role": "user", "content": "Again"}).collect()
        return session.messages

    async with serving(Script(said("a")), Script(said("b"))) as server:
        messages = await in_thread(server, talk)
    assert asked(server, 1) == ["Hi", "a", "Again"]
    assert [message.role for message in messages] == ["user", "assistant", "user", "assistant"]


async def test_a_turn_that_failed_or_was_left_leaves_the_conversation_as_it_was() -> None:
    failure = Failure(Reason.NO_REPLICA_READY, "not ready")
    scripts = [Script(failure=failure), Script(said("a", "b")[:1], hangs=True), Script(said("a"))]
    async with serving(*scripts) as server, Client(server.address) as client:
        session = client.session()
        with pytest.raises(NoReplicaReady):
            await session.chat("Hi").collect()
        async for _ in session.chat("Hi"):
            break
        assert session.messages == []
        await session.chat("Hi").collect()
    assert asked(server, 2) == ["Hi"]
    assert len(session.messages) == 2


async def test_sessions_have_ids_of_their_own() -> None:
    async with Client("127.0.0.1:1") as client:
        assert client.session().session_id != client.session().session_id
