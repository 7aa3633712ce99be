"""Replicas that flood: counted each time, logged now and then."""

import re

import pytest

from gateway.config import LimitSettings, RateSettings
from gateway.http2 import frames
from gateway.http2.frames import ErrorCode
from tests.gateway.relay.conftest import a_world
from tests.gateway.relay.world import World

PING = frames.frame(frames.PING, 0, 0, bytes(8))
PINGS = PING * 21_000
"""More than a burst, and what ten seconds and a stream earn on top of it."""
MANY_SETTINGS = frames.settings([]) * 102
FIELDS = (b"\x00\x01a\x7f\x81\x01" + b"v" * 256) * 60
"""Fields of 256 bytes (RFC 7541, 6.2.2): some 15 KiB, which fits into a frame."""


def headers(*blocks: bytes) -> bytes:
    """The beginning of a header list."""
    kinds = [frames.HEADERS, *[frames.CONTINUATION] * len(blocks)]
    return b"".join(frames.frame(kind, 0, 1, block) for kind, block in zip(kinds, blocks, strict=False))


def floods(world: World, name: str, raw: bytes) -> ErrorCode | None:
    """Let the replica say this on its newest connection, and read no answer. Return how that has ended."""
    replica = world.replicas[name][-1]
    replica.is_dead = True
    connection = replica.wire.connection
    connection.data_received(raw)
    return connection.http2.fault.code if connection.http2.fault else None


def counted(world: World) -> dict[tuple[str, ...], float]:
    """inference_gateway_replica_limits_hit_total, by replica and limit."""
    families = {family.name: family.samples for family in world.registry.dump()}
    samples = families.get("inference_gateway_replica_limits_hit_total", [])
    return {sample.labels: sample.values[0] for sample in samples}


@pytest.mark.parametrize(
    ("raw", "limit"),
    [
        (PINGS, "idle_frames"),
        (MANY_SETTINGS, "settings_frames"),
        (headers(*[b""] * 18), "continuation_frames"),
        (headers(*[FIELDS] * 5), "header_bytes_hard"),
    ],
)
async def test_what_a_replica_has_too_much_of_is_counted_by_its_name(world: World, raw: bytes, limit: str) -> None:
    world.agent().call()
    await world.settle()
    assert world.requests("r0")
    assert floods(world, "r0", raw) == ErrorCode.ENHANCE_YOUR_CALM
    await world.settle()
    assert counted(world) == {("r0", limit): 1}
    assert world.limits_met() == {}
    assert not world.replicas["r1"][-1].wire.connection.is_closed


async def test_the_settings_that_hold_for_agents_hold_for_replicas() -> None:
    async with a_world(limits=LimitSettings(idle_frames=RateSettings(burst=10, per_s=1))) as world:
        assert floods(world, "r0", PING * 5) is None
        assert floods(world, "r0", PING * 6) == ErrorCode.ENHANCE_YOUR_CALM
        await world.settle()
        assert counted(world) == {("r0", "idle_frames"): 1}


async def test_each_replica_and_limit_has_one_line_in_ten_seconds(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for raw in (PINGS, PINGS, MANY_SETTINGS, PINGS):
        floods(world, "r0", raw)
        await world.settle()
    floods(world, "r1", PINGS)
    await world.advance(10)
    floods(world, "r0", PINGS)
    await world.settle()
    assert counted(world) == {("r0", "idle_frames"): 4, ("r0", "settings_frames"): 1, ("r1", "idle_frames"): 1}
    lines = [message for message in caplog.messages if "event=replica_limit_met" in message]
    assert [re.sub("event=replica_limit_met ", "", line) for line in lines] == [
        "replica=r0 limit=idle_frames",
        "replica=r0 limit=settings_frames",
        "replica=r1 limit=idle_frames",
        "replica=r0 limit=idle_frames unlogged_before=2",
    ]
