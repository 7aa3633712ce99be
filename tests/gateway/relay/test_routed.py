"""Routes and aliases as a replica and an agent meet them."""

import pytest

from gateway.config import AliasSettings, RouteSettings, Settings
from gateway.http2.limits import Limits
from gateway.rpc.framing import prefixed
from gateway.rpc.status import Code
from inference.v1 import inference_pb2 as pb
from tests.gateway.relay.conftest import a_world
from tests.gateway.relay.world import GENERATE, Recorded, World, compressed, record, token

pytestmark = pytest.mark.anyio

ALIASED = Settings(aliases={"chat": AliasSettings(model="m"), "sql": AliasSettings(model="m", lora="sql-v3")})


async def seen_by_replica(
    world: World, asked: pb.GenerateRequest, *, is_compressed: bool = False
) -> pb.GenerateRequest:
    message = asked.SerializeToString()
    request, seen = await exchange(world, compressed(message) if is_compressed else prefixed(message))
    seen.headers()
    seen.send(token("a"))
    seen.end()
    await world.settle()
    assert request.status == Code.OK
    assert seen.data[:1] == b"\x00"
    return pb.GenerateRequest.FromString(seen.data[5:])


async def exchange(world: World, data: bytes) -> tuple[Recorded, Recorded]:
    encoding = [(b"grpc-encoding", b"gzip")] if data[:1] == b"\x01" else []
    request = world.agent().call(GENERATE, data, *encoding)
    await world.settle()
    (seen,) = [each for name in world.names for each in world.requests(name)]
    return request, seen


@pytest.mark.parametrize("is_compressed", [False, True])
async def test_an_aliased_request_asks_the_replica_for_its_own_model_and_keeps_all_else(is_compressed: bool) -> None:
    async with a_world(settings=ALIASED) as world:
        world.apply(*(record(name)._replace(loras=frozenset({("m", "sql-v3")})) for name in world.names))
        asked = pb.GenerateRequest(model="sql", text="hello " * 200, priority=3)
        seen = await seen_by_replica(world, asked, is_compressed=is_compressed)
        assert seen == pb.GenerateRequest(model="m", lora_name="sql-v3", text="hello " * 200, priority=3)
        world.assert_nothing_is_left()


async def test_a_request_by_the_models_own_name_is_forwarded_byte_for_byte() -> None:
    async with a_world(settings=ALIASED) as world:
        data = compressed(pb.GenerateRequest(model="m", text="hello").SerializeToString())
        _, seen = await exchange(world, data)
        assert seen.data == data


async def test_a_renamed_request_that_a_replica_refuses_is_sent_renamed_to_another() -> None:
    async with a_world(settings=ALIASED, replica_limits=Limits(streams=1)) as world:
        world.refusing.add("r0")
        seen = await seen_by_replica(world, pb.GenerateRequest(model="chat", text="hello"))
        assert seen == pb.GenerateRequest(model="m", text="hello")


async def test_a_long_renamed_request_passes_small_windows_and_is_credited_as_sent() -> None:
    async with a_world(settings=ALIASED) as world:
        asked = pb.GenerateRequest(model="chat", text="x" * 400_000)
        assert await seen_by_replica(world, asked) == pb.GenerateRequest(model="m", text="x" * 400_000)
        world.assert_nothing_is_left()


async def test_without_a_route_the_agent_is_told_and_no_replica_asked() -> None:
    settings = Settings(routes=(RouteSettings(name="gold", headers={"x-tier": "gold"}),))
    async with a_world(settings=settings) as world:
        data = prefixed(pb.GenerateRequest(model="m", text="hello").SerializeToString())
        request = world.agent().call(GENERATE, data)
        gold = world.agent().call(GENERATE, data, (b"x-tier", b"gold"))
        await world.settle()
        assert request.status == Code.NOT_FOUND
        assert b"no route takes requests of the model 'm'" in request.trailers[b"grpc-message"]
        assert not gold.is_over
        assert sum(len(world.requests(name)) for name in world.names) == 1
