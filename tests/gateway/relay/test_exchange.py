"""One agent request and what may become of it, over real HTTP/2 in memory."""

import asyncio
import gc
import gzip
from collections.abc import Callable

import pytest
from google.rpc import error_details_pb2, status_pb2

from gateway.config import LimitSettings
from gateway.http2.frames import ErrorCode
from gateway.http2.limits import Limits
from gateway.http2.streams import State
from gateway.relay.attempt import Attempt
from gateway.relay.exchange import Exchange
from gateway.relay.memory import CHUNK_BYTES
from gateway.relay.phases import MOVES, Phase
from gateway.rpc.framing import prefixed
from gateway.rpc.metadata import decode_binary
from gateway.rpc.status import Code
from gateway.rpc.timeouts import parse_timeout
from gateway.types import Facts, ReplicaState
from inference.v1 import inference_pb2 as pb
from tests.gateway.relay.conftest import a_world
from tests.gateway.relay.world import OPAQUE, Recorded, World, compressed, record, token

pytestmark = pytest.mark.anyio


def error_info(ended: Recorded) -> error_details_pb2.ErrorInfo:
    status = status_pb2.Status.FromString(decode_binary(ended.trailers[b"grpc-status-details-bin"]))
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info


async def a_stream(world: World) -> tuple[Recorded, Recorded]:
    """An agent's Generate that a replica has seen."""
    asked = world.agent().call()
    await world.settle()
    (seen,) = [request for name in world.names for request in world.requests(name)]
    return asked, seen


async def test_relays_a_stream_byte_for_byte(world: World) -> None:
    asked, seen = await a_stream(world)
    assert seen.data == prefixed(pb.GenerateRequest(text="hello", model="m").SerializeToString())
    assert seen.is_ended
    seen.headers()
    messages = [token(f"t{i}", i) for i in range(5)]
    for message in messages:
        seen.send(message)
    seen.end((b"grpc-status", b"0"), (b"custom", b"kept"), (b"endpoint-load-metrics-bin", b"AAAA"))
    await world.settle()
    assert asked.data == b"".join(messages)
    assert asked.trailers == {b"grpc-status": b"0", b"custom": b"kept"}
    world.assert_nothing_is_left()


async def test_headers_wait_for_the_first_token(world: World) -> None:
    asked, seen = await a_stream(world)
    seen.headers()
    await world.settle()
    assert not asked.header_lists
    seen.send(token("a"))
    await world.settle()
    assert dict(asked.header_lists[0])[b":status"] == b"200"
    assert asked.data == token("a")


async def test_a_status_without_tokens_arrives_as_it_is(world: World) -> None:
    asked, seen = await a_stream(world)
    seen.end((b":status", b"200"), (b"content-type", b"application/grpc+proto"), (b"grpc-status", b"3"))
    await world.settle()
    assert asked.header_lists == [
        [(b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-status", b"3")]
    ]
    assert asked.is_ended
    world.assert_nothing_is_left()


async def test_another_replica_is_tried_when_the_first_refuses_the_stream(world: World) -> None:
    asked, first = await a_stream(world)
    first.cancel(ErrorCode.REFUSED_STREAM)
    await world.settle()
    (second,) = world.requests("r1") if first in world.requests("r0") else world.requests("r0")
    assert second.data == first.data
    second.headers()
    second.send(token("a"))
    second.end()
    await world.settle()
    assert asked.status == Code.OK
    assert len(asked.header_lists) == 2
    world.assert_nothing_is_left()


async def test_a_request_that_every_replica_refuses_is_tried_three_times_at_most(world: World) -> None:
    asked = world.agent().call()
    refused: list[Recorded] = []
    for _ in range(3):
        await world.settle()
        (seen,) = [one for name in world.names for one in world.requests(name) if one not in refused]
        seen.cancel(ErrorCode.REFUSED_STREAM)
        refused.append(seen)
    await world.settle()
    assert asked.status == Code.UNAVAILABLE
    assert sorted(len(world.requests(name)) for name in world.names) == [1, 2]
    world.assert_nothing_is_left()


async def test_another_replica_is_tried_when_the_first_does_not_connect() -> None:
    async with a_world(replicas=3) as world:
        world.refusing.add("r0")
        for peer in world.replicas.pop("r0"):
            peer.hang_up()
        world.fleet.set_reachable("r0", True)
        agent = world.agent()
        asked = [agent.call() for _ in range(6)]
        await world.settle()
        for name in ("r1", "r2"):
            for request in world.requests(name):
                request.headers()
                request.send(token("a"))
                request.end()
        await world.settle()
        assert [one.status for one in asked] == [Code.OK] * 6
        world.assert_nothing_is_left()


async def test_a_farewell_that_names_no_stream_moves_the_request(world: World) -> None:
    asked, first = await a_stream(world)
    first.peer.http2.abort(ErrorCode.NO_ERROR, "restart")  # GOAWAY with the last stream: this one was processed
    farewell = bytes(first.peer.http2.out[-1])
    first.peer.http2.out[-1] = farewell[:9] + bytes(4) + farewell[13:]
    await world.settle()
    (second,) = [r for name in world.names for r in world.requests(name) if r is not first]
    second.end((b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-status", b"0"))
    await world.settle()
    assert asked.status == Code.OK


async def test_a_death_after_the_first_token_is_told_with_what_may_be_done(world: World) -> None:
    asked, seen = await a_stream(world)
    seen.headers()
    seen.send(token("a"))
    await world.settle()
    seen.peer.hang_up()
    await world.settle()
    assert asked.status == Code.UNAVAILABLE
    assert asked.data == token("a")
    assert error_info(asked).reason == "REPLICA_FAILED"
    assert asked.trailers[b"grpc-retry-pushback-ms"] == b"1000"
    assert sum(len(world.requests(name)) for name in world.names) == 1
    world.assert_nothing_is_left()


def break_connection(seen: Recorded) -> None:
    seen.peer.hang_up()


def reset_stream(seen: Recorded) -> None:
    seen.headers()
    seen.cancel(ErrorCode.INTERNAL_ERROR)


def say_unavailable(seen: Recorded) -> None:
    seen.end((b":status", b"200"), (b"grpc-status", b"14"), (b"custom", b"gone"))


BREAKS = [break_connection, reset_stream, say_unavailable]


@pytest.mark.parametrize("fail", BREAKS)
async def test_before_the_first_token_another_replica_begins_anew(
    world: World, fail: Callable[[Recorded], None]
) -> None:
    asked, first = await a_stream(world)
    fail(first)
    await world.settle()
    (second,) = [one for name in world.names for one in world.requests(name) if one is not first]
    assert second.data == first.data
    second.headers()
    second.send(token("a"))
    second.end()
    await world.settle()
    assert asked.status == Code.OK
    assert asked.data == token("a")
    world.assert_nothing_is_left()


@pytest.mark.parametrize("fail", BREAKS)
async def test_one_that_broke_a_request_does_not_get_it_again(fail: Callable[[Recorded], None]) -> None:
    async with a_world(replicas=1) as world:
        asked, seen = await a_stream(world)
        fail(seen)
        await world.settle()
        assert asked.status == Code.UNAVAILABLE
        assert (fail is say_unavailable) == (asked.trailers.get(b"custom") == b"gone"), (
            "its own words, where it said any"
        )
        assert len(world.requests("r0")) == 1
        world.assert_nothing_is_left()


async def test_a_request_that_kills_its_replicas_does_not_reach_the_whole_fleet() -> None:
    async with a_world(replicas=6) as world:
        asked = world.agent().call()
        for _ in range(6):
            await world.settle()
            for request in (one for name in world.names for one in world.requests(name) if not one.peer.is_dead):
                request.peer.hang_up()
        await world.settle()
        assert asked.status == Code.UNAVAILABLE
        assert sum(len(world.requests(name)) for name in world.names) == 3
        world.assert_nothing_is_left()


async def test_what_an_opaque_service_has_begun_is_not_begun_anew(world: World) -> None:
    asked = world.agent().call(OPAQUE, b"x")
    await world.settle()
    (seen,) = [request for name in world.names for request in world.requests(name)]
    seen.peer.hang_up()
    await world.settle()
    assert asked.status == Code.UNAVAILABLE
    assert sum(len(world.requests(name)) for name in world.names) == 1
    world.assert_nothing_is_left()


async def test_an_agent_that_cancels_stops_the_replica(world: World) -> None:
    asked, seen = await a_stream(world)
    seen.headers()
    seen.send(token("a"))
    await world.settle()
    asked.cancel()
    await world.settle()
    assert seen.reset == ErrorCode.CANCEL
    world.assert_nothing_is_left()


async def test_an_agent_that_leaves_stops_its_replicas(world: World) -> None:
    agent = world.agent()
    for _ in range(4):
        agent.call()
    await world.settle()
    seen = [request for name in world.names for request in world.requests(name)]
    assert len(seen) == 4
    agent.hang_up()
    await world.settle()
    assert [request.reset for request in seen] == [ErrorCode.CANCEL] * 4
    world.assert_nothing_is_left()


async def test_the_replica_is_told_what_is_left_of_the_time(world: World) -> None:
    agent = world.agent()
    asked = agent.call(b"/inference.v1.Inference/Generate", b"", (b"grpc-timeout", b"2S"), is_end=False)
    await world.settle()
    await world.advance(0.5)
    asked.send(prefixed(pb.GenerateRequest(model="m").SerializeToString()), is_end=True)
    await world.settle()
    (seen,) = [request for name in world.names for request in world.requests(name)]
    assert parse_timeout(dict(seen.header_lists[0])[b"grpc-timeout"]) == pytest.approx(1.5, abs=2e-6)
    await world.advance(1.5)
    assert asked.status == Code.DEADLINE_EXCEEDED
    assert seen.reset == ErrorCode.CANCEL
    world.assert_nothing_is_left()


async def test_only_whole_messages_leave(world: World) -> None:
    asked, seen = await a_stream(world)
    seen.headers()
    wire = token("one", 0) + token("two", 1) + token("three", 2)
    cut = len(token("one", 0)) + 7
    seen.send(wire[:3])
    await world.settle()
    assert asked.data == b""
    seen.send(wire[3:cut])
    await world.settle()
    assert asked.data == token("one", 0)
    seen.send(wire[cut:-1])
    await world.settle()
    assert asked.data == token("one", 0) + token("two", 1)
    seen.peer.hang_up()
    await world.settle()
    assert asked.status == Code.UNAVAILABLE
    assert asked.data == token("one", 0) + token("two", 1)
    world.assert_nothing_is_left()


async def test_a_message_longer_than_what_may_be_held_passes_in_pieces(world: World) -> None:
    asked, seen = await a_stream(world)
    seen.headers()
    message = prefixed(bytes(300_000))
    seen.send(message)
    seen.send(token("after", 1))
    seen.end()
    await world.settle()
    assert asked.data == message + token("after", 1)
    assert asked.status == Code.OK
    world.assert_nothing_is_left()


async def test_a_slow_agent_stops_the_replica_and_not_its_neighbours(world: World) -> None:
    agent, neighbour = world.agent(), world.agent()
    slow, quick = agent.call(), neighbour.call()
    slow.credits = False
    await world.settle()
    flood = token("x" * 1_000)
    seen = [request for name in world.names for request in world.requests(name)]
    for request in seen:
        request.headers()
        for _ in range(600):
            request.send(flood)
    await world.settle()
    # The agent's window, and as much again as the replica's stream was given at first: no more is in between.
    window = Limits().stream_window_bytes
    assert len(slow.data) <= window
    assert len(quick.data) == 600 * len(flood)
    (held,) = [request for request in seen if request.stream and request.stream.pending]
    unsent = sum(map(len, held.stream.pending or ())) if held.stream else 0
    assert 600 * len(flood) - unsent <= 2 * window + window // 2
    slow.credits = True
    assert slow.stream is not None
    agent.http2.credit(slow.stream, len(slow.data))
    await world.settle()
    assert len(slow.data) == 600 * len(flood)


async def test_a_socket_that_takes_nothing_more_stops_the_replica(world: World) -> None:
    asked, seen = await a_stream(world)
    asked.peer.wire.connection.pause_writing()
    seen.headers()
    for _ in range(600):
        seen.send(token("x" * 1_000))
    await world.settle()
    assert asked.data == b""
    assert seen.stream is not None
    assert seen.stream.pending
    asked.peer.wire.connection.resume_writing()
    await world.settle()
    assert len(asked.data) == 600 * len(token("x" * 1_000))


async def test_a_long_prompt_passes_through_small_windows() -> None:
    async with a_world(replica_limits=Limits(stream_window_bytes=65_535, connection_window_bytes=65_535)) as world:
        body = prefixed(pb.GenerateRequest(model="m", text="x" * 400_000).SerializeToString())
        asked = world.agent().call(body=body)
        await world.settle()
        (seen,) = [request for name in world.names for request in world.requests(name)]
        assert seen.data == body
        assert not asked.is_over
        assert world.relay.memory.held_bytes == len(body) + 2 * CHUNK_BYTES


LONG = prefixed(pb.GenerateRequest(model="m", text="x" * 2**21).SerializeToString())


async def test_a_very_long_prompt_waits_a_turn_and_arrives_whole(world: World) -> None:
    asked = world.agent().call(body=LONG)
    await world.settle()
    (seen,) = [request for name in world.names for request in world.requests(name)]
    assert seen.data == LONG
    seen.headers()
    seen.send(token("a"))
    seen.end()
    await world.settle()
    assert asked.status == Code.OK
    assert asked.data == token("a")
    world.assert_nothing_is_left()


async def test_a_very_long_prompt_that_is_bad_is_answered(world: World) -> None:
    asked = world.agent().call(body=prefixed(b"\xff" * 2**21))
    await world.settle()
    assert asked.status == Code.INVALID_ARGUMENT
    world.assert_nothing_is_left()


def phases(world: World) -> list[Phase]:
    streams = [stream for wire in world.wires for stream in wire.connection.http2.streams.values()]
    return [stream.receiver.phase for stream in streams if isinstance(stream.receiver, Exchange)]


async def test_a_very_long_prompt_that_is_given_up_before_its_turn_reaches_no_replica(world: World) -> None:
    agent = world.agent()
    asked = agent.call(body=LONG)
    for _ in range(1_000):
        agent.wire.pump()
        await asyncio.sleep(0)
        if phases(world) == [Phase.DECIDING]:
            break
    assert phases(world) == [Phase.DECIDING]
    asked.cancel()
    agent.wire.pump()
    assert phases(world) == []
    await world.settle()
    assert not any(world.requests(name) for name in world.names)
    world.assert_nothing_is_left()


@pytest.mark.parametrize(
    ("body", "reason", "code"),
    [
        (prefixed(b"\xff\xff\xff"), "INVALID_REQUEST", Code.INVALID_ARGUMENT),
        (b"\x07garbage", "INVALID_REQUEST", Code.INVALID_ARGUMENT),
        (prefixed(b"12345")[:-1], "INVALID_REQUEST", Code.INVALID_ARGUMENT),
        (b"", "INVALID_REQUEST", Code.INVALID_ARGUMENT),
        (b"\x00\x7f\xff\xff\xff", "MESSAGE_TOO_LARGE", Code.RESOURCE_EXHAUSTED),
        (compressed(b"x"), "INVALID_REQUEST", Code.INVALID_ARGUMENT),
        (prefixed(pb.GenerateRequest(model="nope").SerializeToString()), "MODEL_NOT_FOUND", Code.NOT_FOUND),
    ],
)
async def test_a_bad_request_is_answered_and_reaches_no_replica(
    world: World, body: bytes, reason: str, code: Code
) -> None:
    asked = world.agent().call(body=body)
    await world.settle()
    assert asked.status == code
    assert error_info(asked).reason == reason
    assert not any(world.requests(name) for name in world.names)
    world.assert_nothing_is_left()


async def test_a_request_above_the_limit_is_answered_before_it_has_arrived() -> None:
    async with a_world(limits=LimitSettings(request_bytes=100_000, buffered_bytes=200_000)) as world:
        asked = world.agent().call(body=prefixed(bytes(100_001))[:50_000], is_end=False)
        await world.settle()
        assert error_info(asked).reason == "MESSAGE_TOO_LARGE"
        assert asked.reset == ErrorCode.NO_ERROR
        assert world.limits_met() == {"request_bytes": 1}
        world.assert_nothing_is_left()


async def test_requests_that_are_too_much_together_are_refused() -> None:
    async with a_world(limits=LimitSettings(request_bytes=100_000, buffered_bytes=100_005)) as world:
        agent = world.agent()
        first = agent.call(body=prefixed(bytes(60_000))[:50_000], is_end=False)
        second = agent.call(body=prefixed(bytes(60_000)), is_end=True)
        await world.settle()
        assert not first.is_over
        assert second.status == Code.RESOURCE_EXHAUSTED
        assert error_info(second).reason == "OVERLOADED"
        assert world.limits_met() == {"buffered_bytes": 1}
        first.cancel()
        await world.settle()
        world.assert_nothing_is_left()


async def test_a_compressed_request_is_read_for_its_facts_and_forwarded_as_it_is(world: World) -> None:
    body = compressed(pb.GenerateRequest(model="m", text="x" * 4_000).SerializeToString())
    world.agent().call(b"/inference.v1.Inference/Generate", body, (b"grpc-encoding", b"gzip"))
    await world.settle()
    (seen,) = [request for name in world.names for request in world.requests(name)]
    assert seen.data == body
    assert b"x" * 4_000 in gzip.decompress(seen.data[5:])
    (view,) = [view for view in world.fleet.views(Facts("", "m")) if view.requests]
    assert view.prefill_tokens == 1_000


async def test_a_compression_that_we_do_not_know_is_unimplemented(world: World) -> None:
    asked = world.agent().call(b"/inference.v1.Inference/Generate", compressed(b"x"), (b"grpc-encoding", b"zstd"))
    await world.settle()
    assert asked.status == Code.UNIMPLEMENTED
    assert error_info(asked).reason == "ENCODING_NOT_SUPPORTED"


async def test_a_bomb_is_not_inflated() -> None:
    async with a_world(limits=LimitSettings(request_bytes=10_000, buffered_bytes=20_000)) as world:
        body = compressed(bytes(10_000_000))
        asked = world.agent().call(b"/inference.v1.Inference/Generate", body, (b"grpc-encoding", b"gzip"))
        await world.settle()
        assert error_info(asked).reason == "MESSAGE_TOO_LARGE"


@pytest.mark.parametrize(
    "path", [b"/no.Such/Method", b"/inference.v1.Inference/Admin", b"//Generate", b"Generate", b"/a/b/c"]
)
async def test_what_is_not_served_is_unimplemented(world: World, path: bytes) -> None:
    asked = world.agent().call(path)
    await world.settle()
    assert asked.status == Code.UNIMPLEMENTED
    world.assert_nothing_is_left()


async def test_both_directions_of_an_opaque_stream_flow_and_half_close(world: World) -> None:
    asked = world.agent().call(OPAQUE, b"", is_end=False)
    await world.settle()
    (seen,) = [request for name in world.names for request in world.requests(name)]
    seen.headers()
    await world.settle()
    assert asked.header_lists, "headers pass at once"
    for i in range(3):
        asked.send(prefixed(b"ping%d" % i))
        await world.settle()
        seen.send(prefixed(b"pong%d" % i))
        await world.settle()
    assert not seen.is_ended
    asked.send(b"", is_end=True)
    await world.settle()
    assert seen.is_ended
    assert seen.data == b"".join(prefixed(b"ping%d" % i) for i in range(3))
    seen.end()
    await world.settle()
    assert asked.data == b"".join(prefixed(b"pong%d" % i) for i in range(3))
    assert asked.status == Code.OK
    world.assert_nothing_is_left()


async def test_a_replica_that_answers_before_the_request_has_ended_ends_both_sides(world: World) -> None:
    asked = world.agent().call(OPAQUE, prefixed(b"one"), is_end=False)
    await world.settle()
    (seen,) = [request for name in world.names for request in world.requests(name)]
    seen.end((b":status", b"200"), (b"content-type", b"application/grpc"), (b"grpc-status", b"7"))
    await world.settle()
    assert asked.status == Code.PERMISSION_DENIED
    assert asked.reset == ErrorCode.NO_ERROR
    assert seen.is_over or seen.stream is None or seen.stream.state is State.RESET
    world.assert_nothing_is_left()


async def test_what_is_no_grpc_message_ends_the_stream(world: World) -> None:
    asked, seen = await a_stream(world)
    seen.headers()
    seen.send(b"<html>sorry</html>")
    await world.settle()
    assert asked.status == Code.UNAVAILABLE
    assert seen.reset == ErrorCode.CANCEL
    world.assert_nothing_is_left()


async def test_bytes_that_are_no_http2_end_only_the_streams_of_that_connection(world: World) -> None:
    agent = world.agent()
    asked = [agent.call() for _ in range(2)]
    await world.settle()
    for name in world.names:
        world.requests(name)[0].headers()
        world.requests(name)[0].send(token("a"))
    await world.settle()
    seen = world.requests("r0")[0]
    seen.peer.wire.connection.data_received(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    await world.settle()
    assert sorted(one.is_over for one in asked) == [False, True]
    assert next(one for one in asked if one.is_over).status == Code.UNAVAILABLE


async def test_an_http_error_is_mapped() -> None:
    async with a_world(replicas=1) as world:
        asked, seen = await a_stream(world)
        seen.headers((b":status", b"503"), (b"content-type", b"text/html"))
        await world.settle()
        assert asked.status == Code.UNAVAILABLE
        world.assert_nothing_is_left()


async def test_a_request_waits_for_a_replica_where_it_may() -> None:
    async with a_world(replicas=1, parking_s=5.0) as world:
        world.apply(record("r0", ReplicaState.STARTING))
        agent = world.agent()
        asked = agent.call()
        late = agent.call()
        await world.settle()
        assert not asked.is_over
        world.apply(record("r0"))
        await world.settle()
        assert len(world.requests("r0")) == 2
        late.cancel()
        asked.cancel()
        await world.settle()
        world.assert_nothing_is_left()


async def test_a_request_waits_no_longer_than_it_may() -> None:
    async with a_world(replicas=1, parking_s=5.0) as world:
        world.apply(record("r0", ReplicaState.STARTING))
        asked = world.agent().call()
        await world.settle()
        await world.advance(4.9)
        assert not asked.is_over
        await world.advance(0.2)
        assert error_info(asked).reason == "NO_REPLICA_READY"
        world.assert_nothing_is_left()


async def test_without_a_ready_replica_the_answer_says_when_to_come_back() -> None:
    async with a_world(replicas=1) as world:
        world.apply(record("r0", ReplicaState.DRAINING))
        asked = world.agent().call()
        await world.settle()
        assert error_info(asked).reason == "NO_REPLICA_READY"
        assert b"grpc-retry-pushback-ms" in asked.trailers


async def test_an_unknown_model_may_still_come_while_a_replica_has_named_none() -> None:
    async with a_world(replicas=2) as world:
        world.apply(record("r1", models=None))
        asked = world.agent().call(body=prefixed(pb.GenerateRequest(model="other").SerializeToString()))
        await world.settle()
        assert asked.status == Code.UNAVAILABLE


async def test_more_connections_are_opened_where_a_replica_takes_few_streams() -> None:
    async with a_world(replicas=1, replica_limits=Limits(streams=2)) as world:
        agent = world.agent()
        asked = [agent.call() for _ in range(5)]
        await world.settle()
        assert len(world.requests("r0")) == 5
        assert max(len(peer.requests) for peer in world.replicas["r0"]) <= 2
        for one in asked:
            one.cancel()
        await world.settle()
        world.assert_nothing_is_left()


async def test_a_drained_agent_finishes_what_runs_and_is_closed(world: World) -> None:
    asked, seen = await a_stream(world)
    world.relay.drain()
    await world.settle()
    assert asked.peer.goaway == ErrorCode.NO_ERROR
    assert not asked.peer.is_dead
    seen.headers()
    seen.send(token("a"))
    seen.end()
    await world.settle()
    assert asked.status == Code.OK
    assert asked.peer.is_dead
    assert (len(world.relay.agents), world.agents_gone) == (0, [1])


def test_every_phase_says_where_it_leads() -> None:
    assert set(MOVES) == set(Phase)
    reached = {Phase.READING}
    while (more := {to for phase in reached for to in MOVES[phase]} | reached) != reached:
        reached = more
    assert reached == set(Phase)
    assert all(Phase.DONE in MOVES[phase] for phase in Phase if phase is not Phase.DONE)


@pytest.mark.parametrize("is_cut_off", [False, True])
async def test_what_is_over_is_freed_without_the_garbage_collector(world: World, is_cut_off: bool) -> None:
    gc.collect()
    gc.disable()
    try:
        before = alive()
        asked, seen = await a_stream(world)
        seen.headers()
        seen.send(token("a"))
        await world.settle()
        assert alive() == before + 2
        if is_cut_off:
            asked.cancel()
        else:
            seen.end((b"grpc-status", b"0"))
        await world.settle()
        assert alive() == before
    finally:
        gc.enable()


def alive() -> int:
    return sum(isinstance(found, Exchange | Attempt) for found in gc.get_objects())


async def test_all_of_a_long_prompt_is_asked_for_when_it_begins(world: World) -> None:
    agent = world.agent()
    asked = agent.call(body=LONG[:10_000], is_end=False)
    await world.settle()
    assert asked.stream is not None
    assert asked.stream.send_window == Limits().stream_window_bytes + len(LONG) - 10_000
    asked.send(LONG[10_000:], is_end=True)
    await world.settle()
    (seen,) = [request for name in world.names for request in world.requests(name)]
    assert seen.data == LONG
