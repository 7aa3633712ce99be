"""Peers that are slow, silent or greedy, found out by looking now and then."""

import errno

import pytest
from msgspec.structs import fields

from gateway.config import AgentConnectionSettings, LimitSettings
from gateway.errors import Limit
from gateway.http2.frames import ErrorCode
from gateway.http2.limits import Limits
from gateway.relay.sweeper import Sweeper
from gateway.rpc.framing import prefixed
from gateway.rpc.status import Code
from tests.gateway.relay.conftest import a_world
from tests.gateway.relay.world import GENERATE, Peer, Recorded, World, token

pytestmark = pytest.mark.anyio

HEALTH = b"/grpc.health.v1.Health/Check"
CALM = ErrorCode.ENHANCE_YOUR_CALM
# What is announced to peers, and what bounds without a refusal.
SHAPES = {"response_window_bytes", "stream_window_bytes", "connection_window_bytes", "held_tail_bytes", "reset_soon_s"}


@pytest.mark.parametrize("said", [errno.ETIMEDOUT, errno.EHOSTUNREACH])
async def test_an_agent_whose_host_is_gone_is_counted(world: World, said: int) -> None:
    agent = world.agent()
    await world.settle()
    agent.wire.connection.connection_lost(OSError(said, "gone"))
    assert world.limits_met() == {"vanished_timeout_s": 1}


async def test_an_agent_that_hangs_up_has_not_vanished(world: World) -> None:
    for error in (None, ConnectionResetError(errno.ECONNRESET, "reset")):
        agent = world.agent()
        await world.settle()
        agent.wire.connection.connection_lost(error)
    assert world.limits_met() == {}


def test_every_limit_is_counted_by_the_name_of_its_setting() -> None:
    assert {limit.value for limit in Limit} == {field.name for field in fields(LimitSettings)} - SHAPES


async def later(world: World, *seconds: float) -> None:
    """Look at everything now, and again after so many seconds each."""
    sweeper = Sweeper(world.relay)
    sweeper.sweep()
    await world.settle()
    for each in seconds:
        await world.advance(each)
        sweeper.sweep()
        await world.settle()


async def unread(world: World, agent: Peer, size: int) -> Recorded:
    """A stream of which the agent reads nothing, and so many bytes are waiting."""
    before = sum(len(world.requests(name)) for name in world.names)
    asked = agent.call()
    asked.credits = False
    await world.settle()
    seen = max((request for name in world.names for request in world.requests(name)), key=_age)
    assert sum(len(world.requests(name)) for name in world.names) == before + 1
    seen.headers()
    seen.send(token("x" * (65_535 + size)))
    await world.settle()
    return asked


def _age(request: Recorded) -> int:
    assert request.stream is not None
    return request.stream.id if not request.sent else -1


async def test_a_deadline_has_a_timer_only_once_it_is_near_and_is_kept_to_the_instant() -> None:
    async with a_world() as world:
        asked = world.agent().call(GENERATE, None, (b"grpc-timeout", b"30S"))
        await world.settle()
        await later(world, 27.5)
        assert not [timer for timer in world.timers if not timer.is_cancelled]
        await later(world, 1.0)
        assert [timer.at for timer in world.timers if not timer.is_cancelled] == [pytest.approx(1_030.0)]
        await world.advance(1.499)
        assert not asked.is_ended
        await world.advance(0.001)
        assert asked.status == Code.DEADLINE_EXCEEDED
        world.assert_nothing_is_left()


async def test_a_request_that_trickles_is_over_after_a_while() -> None:
    async with a_world() as world:
        asked = world.agent().call(body=prefixed(b"x" * 100)[:50], is_end=False)
        await world.settle()
        await later(world, 59)
        assert not asked.is_ended
        await later(world, 2)
        assert asked.status == Code.DEADLINE_EXCEEDED
        assert world.limits_met() == {"first_message_timeout_s": 1}
        world.assert_nothing_is_left()


async def test_a_page_that_nobody_fetches_is_over_after_a_while() -> None:
    async with a_world() as world:
        agent = world.agent()
        page = Recorded(agent)
        get = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"gateway")]
        page.stream = agent.http2.open_stream(get, page)
        await world.settle()
        await later(world, 61)
        assert page.reset == ErrorCode.CANCEL


async def test_a_response_that_nobody_reads_is_cancelled_at_both_ends() -> None:
    async with a_world(replicas=1) as world:
        asked = await unread(world, world.agent(Limits(stream_window_bytes=65_535)), 30_000)
        await later(world, 59)
        assert asked.reset is None
        await later(world, 1, 61)
        assert asked.reset == CALM
        assert world.requests("r0")[0].reset == ErrorCode.CANCEL
        assert world.limits_met() == {"unread_timeout_s": 1}
        world.assert_nothing_is_left()


async def test_the_greediest_streams_of_a_connection_are_cancelled() -> None:
    async with a_world(replicas=1, limits=LimitSettings(unread_connection_bytes=100_000)) as world:
        agent = world.agent(Limits(stream_window_bytes=65_535))
        asked = [await unread(world, agent, size) for size in (30_000, 80_000, 40_000)]
        await later(world)
        assert [each.reset for each in asked] == [None, CALM, None]
        assert world.limits_met() == {"unread_connection_bytes": 1}


async def test_a_connection_whose_socket_takes_nothing_is_ended() -> None:
    async with a_world() as world:
        agent = world.agent()
        agent.call()
        await world.settle()
        agent.wire.connection.pause_writing()
        await later(world, 59)
        assert not agent.wire.connection.is_closed
        await later(world, 61)
        assert agent.wire.connection.is_closed
        assert world.limits_met() == {"unread_timeout_s": 1}
        world.assert_nothing_is_left()


async def test_a_connection_whose_answers_nobody_reads_is_ended() -> None:
    async with a_world(replicas=1, limits=LimitSettings(unread_replies=10)) as world:
        agent, other = world.agent(), world.agent()
        agent.call()
        await world.settle()
        (seen,) = world.all_requests()
        agent.wire.connection.pause_writing()
        for _ in range(10):
            agent.http2.ping(b"no hurry")
        await world.settle()
        assert not agent.wire.connection.is_closed
        agent.http2.ping(b"no hurry")
        await world.settle()
        assert agent.goaway == CALM
        assert agent.wire.connection.is_closed
        assert seen.reset == ErrorCode.CANCEL
        assert not other.wire.connection.is_closed
        assert world.limits_met() == {"unread_replies": 1}
        world.assert_nothing_is_left()


async def test_an_idle_connection_is_ended_and_one_with_a_stream_is_not() -> None:
    async with a_world() as world:
        idle, busy = world.agent(), world.agent()
        busy.call()
        await world.settle()
        await later(world, 3_601)
        assert idle.goaway == ErrorCode.NO_ERROR
        assert idle.wire.connection.is_closed
        assert busy.goaway is None
        assert world.limits_met() == {"idle_timeout_s": 1}


async def test_an_old_connection_takes_no_new_streams_and_ends_with_its_last() -> None:
    async with a_world(connections=AgentConnectionSettings(max_age_s=100)) as world:
        agent, idle = world.agent(), world.agent()
        running = agent.call()
        await later(world, 89)
        assert agent.goaway is None
        await later(world, 22)
        assert agent.goaway == ErrorCode.NO_ERROR
        assert idle.wire.connection.is_closed
        assert not running.is_over
        running.cancel()
        await world.settle()
        assert agent.wire.connection.is_closed


async def test_an_old_connections_streams_end_with_its_grace() -> None:
    settings = AgentConnectionSettings(max_age_s=100, max_age_jitter=0, max_age_grace_s=50)
    async with a_world(connections=settings) as world:
        agent = world.agent()
        agent.call()
        await later(world, 149)
        assert not agent.wire.connection.is_closed
        await later(world, 1)
        assert agent.wire.connection.is_closed
        world.assert_nothing_is_left()


async def test_an_old_connection_whose_agent_does_not_answer_is_closed() -> None:
    async with a_world(connections=AgentConnectionSettings(max_age_s=100, max_age_jitter=0)) as world:
        agent = world.agent()
        await world.settle()
        agent.is_dead = True
        await later(world, 100)
        assert not agent.wire.connection.is_closed
        await later(world, 11)
        assert agent.wire.connection.is_closed


async def test_above_the_soft_limit_work_is_refused_and_health_is_not() -> None:
    async with a_world(limits=LimitSettings(memory_soft_bytes=40_000)) as world:
        first = world.agent()
        running = first.call()
        await world.settle()
        await later(world)
        refused, health = first.call(), first.call(HEALTH, prefixed(b""))
        await world.settle()
        assert refused.status == Code.RESOURCE_EXHAUSTED
        assert refused.trailers[b"grpc-retry-pushback-ms"] == b"1000"
        assert len(world.requests("control")) == 1
        assert not health.is_over
        running.cancel()
        health.cancel()
        await world.settle()
        await later(world)
        served = first.call()
        await world.settle()
        assert not served.is_over
        assert world.limits_met() == {"memory_soft_bytes": 1}


async def test_above_the_hard_limit_the_greediest_connection_ends() -> None:
    async with a_world(limits=LimitSettings(memory_soft_bytes=90_000, memory_hard_bytes=100_000)) as world:
        greedy, modest = world.agent(), world.agent()
        for _ in range(3):
            greedy.call()
        kept = modest.call()
        await world.settle()
        await later(world)
        assert greedy.wire.connection.is_closed
        assert world.limits_met() == {"memory_hard_bytes": 1}
        assert not kept.is_over
        assert not world.relay.is_refusing


async def test_a_replica_that_has_vanished_is_noticed_while_it_owes_an_answer() -> None:
    async with a_world(replicas=1) as world:
        asked = world.agent().call()
        await world.settle()
        (replica,) = world.replicas["r0"]
        await later(world, 10, 1)
        assert not asked.is_over
        await later(world, 10)
        replica.is_dead = True
        await later(world, 10, 3)
        assert asked.status == Code.UNAVAILABLE
        world.assert_nothing_is_left()


async def test_a_replica_that_wants_fewer_pings_gets_fewer() -> None:
    async with a_world(replicas=1) as world:
        world.agent().call()
        await world.settle()
        world.relay.pools["r0"].on_too_many_pings()
        (replica,) = world.replicas["r0"]
        replica.is_dead = True
        await later(world, 11, 4)
        assert len(world.replicas["r0"]) == 1
        await later(world, 6, 4)
        assert len(world.replicas["r0"]) == 2
