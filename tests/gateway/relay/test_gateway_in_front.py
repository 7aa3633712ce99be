"""What a gateway in front is told that no other agent is: our load, and what its request has cost."""

import pytest

from gateway.rpc.orca import TRAILER, write_trailer
from gateway.rpc.reports import Reports
from gateway.rpc.status import Code
from gateway.types import LoadReport, ReplicaState, Usage
from tests.gateway.relay.conftest import a_world
from tests.gateway.relay.world import GENERATE, Recorded, World, record, token

pytestmark = pytest.mark.anyio

OUTER = (b"x-gateway-id", b"outer")
USAGE = Usage(30, 20, 10)


async def answered(world: World, *fields: tuple[bytes, bytes]) -> Recorded:
    """The agent's side of a whole exchange, whose replica tells of seven requests that wait and eleven that run."""
    request = world.agent().call(GENERATE, None, *fields)
    await world.settle()
    seen = [each for name in world.names for each in world.requests(name)][-1]
    assert dict(seen.header_lists[0])[b"x-gateway-id"] == b"g1"
    seen.headers()
    seen.send(token("a"))
    seen.end((b"grpc-status", b"0"), write_trailer(LoadReport(7, 11, 0, 0, 1, 1, 0.0), USAGE))
    await world.settle()
    assert request.status == Code.OK
    return request


def told(request: Recorded) -> tuple[LoadReport, Usage | None]:
    return Reports().read(request.trailers[TRAILER], 0.0)


async def test_our_load_instead_of_the_replica_s_and_the_request_s_cost() -> None:
    async with a_world(replicas=2) as world:
        load, usage = told(await answered(world, OUTER))
        assert (load.queue_depth, load.running_requests, load.received_requests) == (7, 11, 1)
        assert (load.boot_id, load.ready_replicas) == (0x0123456789ABC, 2)
        assert usage == USAGE
        world.assert_nothing_is_left()


async def test_other_agents_are_told_nothing() -> None:
    async with a_world(replicas=2) as world:
        assert TRAILER not in (await answered(world)).trailers


async def test_what_is_refused_was_received_too() -> None:
    async with a_world(replicas=1) as world:
        world.apply(record("r0", ReplicaState.STARTING))
        agent = world.agent()
        for received in (1, 2):
            request = agent.call(GENERATE, None, OUTER)
            await world.settle()
            assert request.status == Code.UNAVAILABLE
            load, usage = told(request)
            assert (load.received_requests, usage) == (received, None)
            await world.advance(1.0)


async def test_what_ends_before_its_message_is_whole_was_received_once() -> None:
    async with a_world(replicas=1) as world:
        request = world.agent().call(GENERATE, b"", OUTER, is_end=False)
        await world.settle()
        request.cancel()
        await world.settle()
        load, _ = told(await answered(world, OUTER))
        assert load.received_requests == 2


async def test_control_is_told_which_gateway_asks() -> None:
    async with a_world() as world:
        for fields in ((OUTER,), ()):
            request = world.agent().call(b"/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics", b"", *fields)
            await world.settle()
            seen = world.requests("control")[-1]
            assert dict(seen.header_lists[0])[b"x-gateway-id"] == (b"outer" if fields else b"")
            seen.end((b"grpc-status", b"0"))
            await world.settle()
            assert TRAILER not in request.trailers
        world.assert_nothing_is_left()
