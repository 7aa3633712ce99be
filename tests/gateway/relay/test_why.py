"""What an agent that asks why is told, in its trailers."""

import json

import pytest
from msgspec.structs import replace

from gateway.relay.why import TRAILER, Why, asked_by
from gateway.rpc.status import Code
from gateway.types import Considered, Explanation, ReplicaState
from tests.gateway.fleets import facts
from tests.gateway.relay.conftest import a_world
from tests.gateway.relay.world import GENERATE, Recorded, World, record, token

pytestmark = pytest.mark.anyio

ASKS = (TRAILER, b"1")


async def answered(world: World, *fields: tuple[bytes, bytes]) -> tuple[Recorded, Recorded]:
    """The agent's side of a whole exchange, and the replica's."""
    request = world.agent().call(GENERATE, None, *fields)
    await world.settle()
    (seen,) = [each for name in world.names for each in world.requests(name)]
    seen.headers()
    seen.send(token("a"))
    seen.end()
    await world.settle()
    assert request.status == Code.OK
    return request, seen


async def test_an_agent_that_may_know_is_told_who_was_picked_and_why() -> None:
    async with a_world(replicas=4) as world:
        world.relay.explain_to = frozenset({"*"})
        world.apply(record("r2", ReplicaState.EJECTED))
        request, seen = await answered(world, ASKS)
        told = json.loads(request.trailers[TRAILER])
        assert (told["outcome"], told["policy"], told["compares"]) == ("picked", "round_robin", False)
        picked, passed, _, ejected = told["considered"]
        assert picked["replica_id"] == told["replica_id"]
        assert world.requests(told["replica_id"]) == [seen]
        assert (passed["verdict"], picked["requests"]) == ("passed_over", 0)
        assert (ejected["replica_id"], ejected["reason"]) == ("r2", "not ready: ejected")
        assert TRAILER not in dict(seen.header_lists[0])
        world.assert_nothing_is_left()


async def test_a_refusal_is_explained_too() -> None:
    async with a_world(replicas=1) as world:
        world.relay.explain_to = frozenset({"*"})
        world.apply(record("r0", ReplicaState.STARTING))
        request = world.agent().call(GENERATE, None, ASKS)
        await world.settle()
        assert request.status == Code.UNAVAILABLE
        told = json.loads(request.trailers[TRAILER])
        assert (told["outcome"], told["reason"]) == ("refused", "no replica of the model 'm' is ready")


@pytest.mark.parametrize("may_know", [frozenset[str](), frozenset({"spiffe://a/b"})])
async def test_others_are_told_nothing_and_neither_are_those_who_do_not_ask(may_know: frozenset[str]) -> None:
    async with a_world() as world:
        world.relay.explain_to = may_know
        request, _ = await answered(world, ASKS)
        assert TRAILER not in request.trailers
    async with a_world() as world:
        world.relay.explain_to = frozenset({"*"})
        request, _ = await answered(world)
        assert TRAILER not in request.trailers


def test_agents_are_known_by_their_certificates() -> None:
    agent = replace(facts(), spiffe_id="spiffe://a/b")
    assert asked_by(agent, {"spiffe://a/b"})[1].explained is not None
    assert asked_by(agent, {"spiffe://a/c"}) == (None, agent)
    assert asked_by(facts(), {""}) == (None, facts())


@pytest.mark.parametrize("name", ["r", "replica-" * 40, "\u00fc" * 4_000])
def test_the_trailer_is_ascii_has_at_most_eight_replicas_and_fits(name: str) -> None:
    considered = [
        Considered(f"{n}{name}", 1, "ready", "passed_over", "more load", float("inf"), 0.123456, 1, 2, 0.5, 3, 1.0)
        for n in range(100)
    ]
    why = Why()
    assert why.trailers() == ()
    why(Explanation("default", "lmetric", True, "picked", "", considered[0].replica_id, 5, considered))
    ((_, value),) = why.trailers()
    told = json.loads(value)
    assert len(value) <= 4_096
    assert value.isascii()
    assert len(told["considered"]) <= 8
    if name == "r":
        assert len(told["considered"]) == 8
        assert (told["considered"][0]["load"], told["considered"][0]["report_age_s"]) == (None, 0.1235)
