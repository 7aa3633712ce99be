"""What is counted by route: requests, refusals, times and tokens."""

import pytest

from gateway.config import RouteSettings, Settings
from gateway.metrics import Registry
from gateway.relay.route_metrics import RouteMetrics
from gateway.rpc import orca
from gateway.rpc.framing import prefixed
from gateway.rpc.status import Code
from gateway.types import LoadReport, Usage
from inference.v1 import inference_pb2 as pb
from tests.gateway.relay.conftest import a_world
from tests.gateway.relay.world import GENERATE, World, token

pytestmark = pytest.mark.anyio

PREFIX = "inference_gateway_route_"
ROUTED = Settings(
    routes=(
        RouteSettings(name="gold", headers={"x-tier": "gold"}),
        RouteSettings(name="far", headers={"x-tier": "far"}, labels={"zone": "far"}),
    )
)
GOLD = (b"x-tier", b"gold")


def counted(registry: Registry) -> dict[tuple[str, ...], float]:
    """By name without what all have in common, then labels; of histograms the number of what was observed."""
    return {
        (family.name.removeprefix(PREFIX), *sample.labels): sum(sample.values[:-1] or sample.values)
        for family in registry.dump()
        if family.name.startswith(PREFIX)
        for sample in family.samples
    }


def seconds(registry: Registry, name: str) -> float:
    """The sum of what a histogram has observed over all routes."""
    families = [family for family in registry.dump() if family.name == PREFIX + name]
    return sum(sample.values[-1] for family in families for sample in family.samples)


async def call(world: World, *fields: tuple[bytes, bytes]) -> None:
    """One request with its whole answer, 2 s to the first token and 3 s to the end."""
    request = world.agent().call(
        GENERATE, prefixed(pb.GenerateRequest(model="m", text="hi").SerializeToString()), *fields
    )
    await world.settle()
    seen = next(each for name in world.names for each in world.requests(name) if not each.sent)
    await world.advance(2.0)
    seen.headers()
    seen.send(token("a"))
    await world.settle()
    await world.advance(1.0)
    report = LoadReport(0, 1, 0.1, 0, 7, 1, 0.0)
    usage = Usage(prompt_tokens=30, cached_tokens=20, completion_tokens=5)
    seen.end((b"grpc-status", b"0"), orca.write_trailer(report, usage))
    await world.settle()
    assert request.status == Code.OK


async def test_a_request_counts_for_its_route_with_its_times_and_its_tokens() -> None:
    async with a_world(settings=ROUTED) as world:
        await call(world, GOLD)
        await call(world, GOLD)
        assert counted(world.registry) == {
            ("requests_total", "gold", "OK"): 2,
            ("time_to_first_token_seconds", "gold"): 2,
            ("request_seconds", "gold"): 2,
            ("tokens_total", "gold", "prompt"): 60,
            ("tokens_total", "gold", "cached"): 40,
            ("tokens_total", "gold", "completion"): 10,
        }
        assert seconds(world.registry, "time_to_first_token_seconds") == pytest.approx(4.0)
        assert seconds(world.registry, "request_seconds") == pytest.approx(6.0)


async def test_a_request_that_no_replica_is_given_counts_as_refused_by_its_route() -> None:
    async with a_world(settings=ROUTED) as world:
        request = world.agent().call(GENERATE, prefixed(b""), (b"x-tier", b"far"))
        await world.settle()
        assert request.status == Code.UNAVAILABLE
        values = counted(world.registry)
        assert values["refusals_total", "far", "NO_REPLICA_READY"] == 1
        assert values["requests_total", "far", "UNAVAILABLE"] == 1


async def test_what_agents_send_makes_no_route() -> None:
    async with a_world(settings=ROUTED) as world:
        request = world.agent().call(GENERATE, prefixed(b""), (b"x-tier", b"invented"))
        await world.settle()
        assert request.status == Code.NOT_FOUND
        assert counted(world.registry) == {}


async def test_without_routes_all_count_as_the_default_one() -> None:
    async with a_world() as world:
        await call(world)
        assert counted(world.registry)["requests_total", "default", "OK"] == 1


def test_a_route_is_made_once() -> None:
    metrics = RouteMetrics(Registry())
    assert metrics.of("gold") is metrics.of("gold")
