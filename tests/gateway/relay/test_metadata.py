"""Metadata on its way through a relay: exact at its limits, and in the order in which it was sent."""

import hpack
import pytest

from gateway.config import LimitSettings
from gateway.http2.frames import ErrorCode
from gateway.http2.headers import Field, FieldList, Fields
from gateway.rpc.metadata import decode_binary
from gateway.rpc.status import Code
from tests.gateway.relay.conftest import a_world
from tests.gateway.relay.world import GENERATE, OPAQUE, Peer, Recorded, World, request_fields, token

pytestmark = pytest.mark.anyio

SOFT_BYTES = LimitSettings().header_bytes
HARD_BYTES = LimitSettings().header_bytes_hard
LONG: tuple[Field, ...] = tuple((b"k%d" % number, b"v" * 300) for number in range(30))
"""Between the limits."""


def list_bytes(fields: Fields) -> int:
    """As RFC 9113 counts (6.5.2, 10.5.1)."""
    return sum(len(name) + len(value) + 32 for name, value in fields)


def filled(size: int) -> Field:
    """Return the field that makes the headers of a Generate so many bytes in all."""
    name = b"filling"
    return name, b"v" * (size - list_bytes([*request_fields(GENERATE), (name, b"")]))


def begin(agent: Peer, encoder: hpack.Encoder, *fields: Field) -> tuple[Recorded, bytes]:
    """Call as most agents do, by an encoder that keeps a table. Return the header block, too."""
    asked, coded = Recorded(agent), FieldList([*request_fields(OPAQUE), *fields])
    coded.block = encoder.encode(coded)
    asked.stream = agent.http2.open_stream(coded, asked, is_end=True)
    return asked, coded.block


async def test_of_exactly_the_soft_limit_passes(world: World) -> None:
    field = filled(SOFT_BYTES)
    asked = world.agent().call(GENERATE, None, field)
    await world.settle()
    (seen,) = world.all_requests()
    assert field in seen.header_lists[0]
    assert not asked.is_over
    assert world.limits_met() == {}


@pytest.mark.parametrize("size", [SOFT_BYTES + 1, HARD_BYTES])
async def test_from_a_byte_more_up_to_exactly_the_hard_limit_its_stream_is_answered(world: World, size: int) -> None:
    agent = world.agent()
    before, refused, after = agent.call(), agent.call(GENERATE, None, filled(size)), agent.call()
    await world.settle()
    assert refused.status == Code.RESOURCE_EXHAUSTED
    assert refused.trailers[b"grpc-message"] == b"the metadata is larger than %d bytes" % SOFT_BYTES
    assert b"METADATA_TOO_LARGE" in decode_binary(refused.trailers[b"grpc-status-details-bin"])
    assert (before.is_over, after.is_over, agent.goaway) == (False, False, None)
    assert len(world.all_requests()) == 2
    assert world.limits_met() == {"header_bytes": 1}


async def test_a_byte_above_the_hard_limit_ends_the_connection_and_no_other(world: World) -> None:
    greedy, modest = world.agent(), world.agent()
    running, other = greedy.call(), modest.call()
    await world.settle()
    greedy.call(GENERATE, None, filled(HARD_BYTES + 1))
    await world.settle()
    assert greedy.goaway == ErrorCode.ENHANCE_YOUR_CALM
    assert greedy.wire.connection.is_closed
    assert world.limits_met() == {"header_bytes_hard": 1}
    assert sorted(seen.reset or 0 for seen in world.all_requests()) == [0, ErrorCode.CANCEL]
    assert not running.is_ended
    assert not other.is_over


async def test_both_limits_are_those_of_the_settings() -> None:
    async with a_world(limits=LimitSettings(header_bytes=1_000, header_bytes_hard=2_000)) as world:
        agent = world.agent()
        asked = [agent.call(GENERATE, None, filled(size)) for size in (1_000, 1_001, 2_000)]
        await world.settle()
        assert [each.is_over for each in asked] == [False, True, True]
        agent.call(GENERATE, None, filled(2_001))
        await world.settle()
        assert world.limits_met() == {"header_bytes": 2, "header_bytes_hard": 1}


async def test_what_a_refused_list_put_into_the_table_is_there_for_the_next(world: World) -> None:
    agent, encoder = world.agent(), hpack.Encoder()
    # The first block of a connection begins with an update to 0; this is the one back.
    encoder.header_table_size = 0
    encoder.encode([])
    encoder.header_table_size = 4_096
    # At once: the agent has not seen yet that we want no table.
    refused, _ = begin(agent, encoder, *LONG)
    asked, block = begin(agent, encoder, *LONG[-9:])
    assert len(block) < 300, "references to what is longer"
    await world.settle()
    assert refused.status == Code.RESOURCE_EXHAUSTED
    assert (asked.is_over, agent.goaway) == (False, None)
    (seen,) = world.all_requests()
    assert [field for field in seen.header_lists[0] if field in LONG] == list(LONG[-9:])
    assert world.limits_met() == {"header_bytes": 1}


REPEATED: tuple[Field, ...] = (
    (b"key", b"2"),
    (b"trace-bin", b"AAEC"),
    (b"other", b"x"),
    (b"key", b"1"),
    (b"trace-bin", b"/w"),
    (b"trace-bin", b"AAEC"),
    (b"key", b"2"),
    (b"trace-bin", b""),
)
CONTENT = (b"content-type", b"application/grpc")


@pytest.mark.parametrize("path", [GENERATE, OPAQUE])
async def test_keys_that_come_twice_stay_in_their_order_both_ways(world: World, path: bytes) -> None:
    asked = world.agent().call(path, None, *REPEATED)
    await world.settle()
    (seen,) = world.all_requests()
    assert seen.header_lists == [[*request_fields(path), *REPEATED, (b"x-gateway-id", b"g1")]]
    headers, trailers = [(b":status", b"200"), CONTENT, *REPEATED], [*REPEATED, (b"grpc-status", b"0"), *REPEATED]
    seen.headers(*headers)
    seen.send(token("a"))
    seen.end(*trailers)
    await world.settle()
    assert asked.header_lists == [headers, trailers]
    assert asked.data == token("a")


@pytest.mark.parametrize("path", [GENERATE, OPAQUE])
async def test_so_they_do_where_trailers_are_all_there_is(world: World, path: bytes) -> None:
    asked = world.agent().call(path)
    await world.settle()
    (seen,) = world.all_requests()
    answer = [(b":status", b"200"), CONTENT, (b"grpc-status", b"3"), *REPEATED]
    seen.end(*answer)
    await world.settle()
    assert asked.header_lists == [answer]
