"""Whoever speaks HTTP and no gRPC is told what listens here."""

from gateway.http2.headers import Field
from gateway.rpc.plain import HTTP1_ANSWER
from tests.gateway.relay.world import Peer, Recorded, World


def ask(agent: Peer, method: bytes, *, is_end: bool = True, path: bytes = b"/") -> Recorded:
    fields: list[Field] = [(b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"gateway")]
    recorded = Recorded(agent)
    recorded.stream = agent.http2.open_stream(fields, recorded, is_end=is_end)
    return recorded


async def test_get_is_answered_with_a_page(world: World) -> None:
    asked = ask(world.agent(), b"GET")
    await world.settle()
    assert asked.header_lists[0][0] == (b":status", b"200")
    assert b"gRPC" in asked.data
    assert asked.is_ended
    assert world.requests("r0") == []


async def test_head_is_answered_without_a_page(world: World) -> None:
    asked = ask(world.agent(), b"HEAD")
    await world.settle()
    assert (asked.header_lists[0][0], asked.data, asked.is_ended) == ((b":status", b"200"), b"", True)


async def test_the_answer_waits_for_the_end_of_the_request(world: World) -> None:
    asked = ask(world.agent(), b"POST", is_end=False)
    for _ in range(10):
        asked.send(bytes(100_000))
        await world.settle()
    assert asked.header_lists == []
    asked.send(b"", is_end=True)
    await world.settle()
    assert asked.header_lists[0][0] == (b":status", b"415")
    assert (asked.is_ended, asked.reset) == (True, None)


async def test_trailers_end_a_request_as_well(world: World) -> None:
    asked = ask(world.agent(), b"PUT", is_end=False)
    asked.end((b"x", b"y"))
    await world.settle()
    assert asked.header_lists[0][0] == (b":status", b"405")


async def test_a_request_that_is_reset_is_not_answered(world: World) -> None:
    asked = ask(world.agent(), b"POST", is_end=False)
    await world.settle()
    asked.cancel()
    await world.settle()
    assert asked.header_lists == []


async def test_http_1_is_told_what_to_use_instead(world: World) -> None:
    agent = world.agent()
    connection = agent.wire.connection
    connection.data_received(b"GET / HTTP/1.1\r\nhost: gateway\r\n\r\n")
    assert (b"".join(agent.wire.inbox), agent.wire.is_cut) == (HTTP1_ANSWER, True)
    agent.is_dead = True
    await world.settle()
