"""Whatever happens, in whatever order: leases and memory go back, every exchange ends, no token is lost or doubled."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http2.frames import ErrorCode
from gateway.http2.streams import State
from gateway.rpc.framing import message_end, prefixed
from gateway.types import ReplicaState
from inference.v1 import inference_pb2 as pb
from tests.gateway.relay.conftest import a_world
from tests.gateway.relay.world import OPAQUE, Peer, Recorded, World, record, token

pytestmark = pytest.mark.anyio


@dataclass
class Play:
    """What agents and replicas may do; each act takes a number that says which of them does it."""

    world: World
    agents: list[Peer] = field(default_factory=list[Peer])
    asked: list[Recorded] = field(default_factory=list[Recorded])
    incarnations: "itertools.count[int]" = field(default_factory=lambda: itertools.count(2))

    def agent(self, which: int) -> Peer:
        if not self.agents:
            self.agents = [self.world.agent(), self.world.agent()]
        index = which % len(self.agents)
        if self.agents[index].is_dead or self.agents[index].http2.is_draining:
            self.agents[index] = self.world.agent()
        return self.agents[index]

    def seen(self, which: int) -> Recorded | None:
        """A request that some replica can still answer."""
        live = [
            request
            for name in self.world.names
            for request in self.world.requests(name)
            if not request.peer.is_dead and request.stream and request.stream.state in _OPEN
        ]
        return live[which % len(live)] if live else None

    def call(self, which: int) -> None:
        request = pb.GenerateRequest(model="m", text=f"request {len(self.asked)}")
        self.asked.append(self.agent(which).call(body=prefixed(request.SerializeToString())))

    def call_opaque(self, which: int) -> None:
        self.asked.append(self.agent(which).call(OPAQUE, b"", is_end=False))

    def call_with_deadline(self, which: int) -> None:
        self.asked.append(self.agent(which).call(OPAQUE, b"", (b"grpc-timeout", b"1S"), is_end=bool(which % 2)))

    def half_close(self, which: int) -> None:
        waiting = [one for one in self.asked if _may_send(one)]
        if waiting:
            waiting[which % len(waiting)].send(b"", is_end=True)

    def cancel(self, which: int) -> None:
        running = [one for one in self.asked if not one.is_over and not one.peer.is_dead]
        if running:
            one = running[which % len(running)]
            one.cancel()
            one.reset = ErrorCode.CANCEL

    def agent_leaves(self, which: int) -> None:
        agent = self.agent(which)
        agent.hang_up()

    def agent_stalls(self, which: int) -> None:
        self.agent(which).wire.connection.pause_writing()

    def agent_goes_on(self, which: int) -> None:
        self.agent(which).wire.connection.resume_writing()

    def answer(self, which: int) -> None:
        request = self.seen(which)
        if request is not None:
            request.headers()

    def send_token(self, which: int) -> None:
        request = self.seen(which)
        if request is not None and request.stream is not None:
            request.send(token("t" * (which % 7)))

    def send_half(self, which: int) -> None:
        request = self.seen(which)
        if request is not None:
            message = token("h" * 40)
            request.send(message[: which % len(message)])
            request.send(message[which % len(message) :])

    def end(self, which: int) -> None:
        request = self.seen(which)
        if request is not None:
            request.end((b":status", b"200"), (b"grpc-status", b"0"))

    def reset(self, which: int) -> None:
        request = self.seen(which)
        if request is not None:
            request.cancel((ErrorCode.REFUSED_STREAM, ErrorCode.INTERNAL_ERROR, ErrorCode.ENHANCE_YOUR_CALM)[which % 3])

    def replica_dies(self, which: int) -> None:
        request = self.seen(which)
        if request is not None:
            request.peer.hang_up()

    def replica_drains(self, which: int) -> None:
        request = self.seen(which)
        if request is not None:
            request.peer.http2.drain()

    def replica_refuses(self, which: int) -> None:
        self.world.refusing.symmetric_difference_update({self.world.names[which % 2]})

    def fleet_changes(self, which: int) -> None:
        state = (ReplicaState.READY, ReplicaState.DRAINING, ReplicaState.GONE)[which % 3]
        self.world.apply(record(self.world.names[which % 2], state))

    def replica_restarts(self, which: int) -> None:
        self.world.apply(record(self.world.names[which % 2], incarnation=next(self.incarnations)))


_OPEN = (State.OPEN, State.HALF_CLOSED_REMOTE)
_ACTS: list[Callable[[Play, int], None]] = [
    Play.call, Play.call, Play.call_opaque, Play.call_with_deadline, Play.half_close, Play.cancel, Play.agent_leaves,
    Play.agent_stalls, Play.agent_goes_on, Play.answer, Play.answer, Play.send_token, Play.send_token, Play.send_half,
    Play.end, Play.reset, Play.replica_dies, Play.replica_drains, Play.replica_refuses, Play.fleet_changes,
    Play.replica_restarts,
]  # fmt: skip


def _may_send(one: Recorded) -> bool:
    return not one.peer.is_dead and one.stream is not None and one.stream.state is State.OPEN


@given(acts=st.lists(st.tuples(st.sampled_from(_ACTS), st.integers(0, 40), st.booleans()), max_size=40))
async def test_everything_goes_back_and_every_exchange_ends_once(
    acts: list[tuple[Callable[[Play, int], None], int, bool]],
) -> None:
    async with a_world(parking_s=3.0) as world:
        play = Play(world)
        for act, which, settles in acts:
            act(play, which)
            assert world.ledger.audit() == 0
            if settles:
                await world.settle()
                assert world.ledger.audit() == 0
        await finish(play)
        world.assert_nothing_is_left()


async def finish(play: Play) -> None:
    """Let time end what waits and replicas answer what runs: then nothing may be left."""
    world = play.world
    for agent in play.agents:
        if not agent.is_dead:
            agent.wire.connection.resume_writing()
    await world.settle()
    await world.advance(10.0)
    while (request := play.seen(0)) is not None:
        request.end((b":status", b"200"), (b"grpc-status", b"0"))
        await world.settle()
    for one in play.asked:
        if not one.peer.is_dead and not one.is_over:
            one.cancel()
            one.reset = ErrorCode.CANCEL
    await world.settle()
    assert all(one.is_over or one.peer.is_dead for one in play.asked)
    for one in play.asked:
        assert is_whole(one.data)
        if one.data:
            assert any(said.startswith(one.data) for said in sent_for(world, one)), "lost, doubled or mixed up"


def sent_for(world: World, one: Recorded) -> list[bytes]:
    """What replicas have sent in answer to one request, by attempt."""
    return [seen.sent for name in world.names for seen in world.requests(name) if seen.data == one.sent]


def is_whole(data: bytes) -> bool:
    position = 0
    while position < len(data):
        end = message_end(data, position)
        if end is None or end > len(data):
            return False
        position = end
    return True
