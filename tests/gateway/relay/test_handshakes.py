"""Agents that do not come to their first request, and who they are when they do."""

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.config import LimitSettings
from gateway.http2 import frames
from gateway.http2.frames import ErrorCode
from gateway.relay.agent_connection import AgentConnection
from gateway.relay.tls_socket import Session, TlsSocket
from gateway.tls.contexts import server_context
from gateway.tls.material import AgentTls
from gateway.types import Facts, View
from tests.certificates import Authority
from tests.gateway.relay.conftest import a_world
from tests.gateway.relay.memory_socket import MemorySocket
from tests.gateway.relay.tls_ends import SERVER, End, Updating
from tests.gateway.relay.world import Peer, World

CLIENT_HELLO = b"\x16\x03\x01\x00\xee\x01\x00\x00\xea\x03\x03" + bytes(32)
AGENT_ID = "spiffe://example.org/agent"


def connection_of(world: World, agent: Peer) -> AgentConnection:
    connection = agent.wire.connection
    assert isinstance(connection, AgentConnection)
    return connection


def says(world: World, data: bytes) -> Peer:
    """An agent that has said this instead of HTTP/2."""
    agent = world.agent()
    agent.http2.take_output()
    agent.wire.connection.data_received(data)
    return agent


def counted(world: World) -> dict[str, float]:
    families = {family.name: family.samples for family in world.registry.dump()}
    samples = families.get("inference_gateway_handshakes_failed_total", [])
    return {sample.labels[0]: sample.values[0] for sample in samples}


def under_way(world: World) -> float:
    (family,) = [one for one in world.registry.dump() if one.name == "inference_gateway_handshakes_under_way"]
    return family.samples[0].values[0]


async def test_a_handshake_that_is_done_is_no_failure_whatever_comes_later(world: World) -> None:
    agent = world.agent()
    assert under_way(world) == 1
    await world.settle()
    assert under_way(world) == 0
    agent.hang_up()
    assert counted(world) == {}


async def test_one_that_is_not_done_in_time_ends(world: World) -> None:
    agent = world.agent()
    agent.is_dead = True
    agent.http2.take_output()
    await world.advance(world.relay.limits.handshake_timeout_s)
    assert agent.wire.connection.is_closed
    assert (counted(world), under_way(world)) == ({"timeout": 1}, 0)
    assert world.limits_met() == {"handshake_timeout_s": 1}


async def test_of_too_many_the_oldest_ends_and_a_new_one_comes_through() -> None:
    async with a_world(limits=LimitSettings(handshakes=3)) as world:
        silent = [world.agent() for _ in range(3)]
        for agent in silent:
            agent.http2.take_output()
        late = world.agent()
        await world.settle()
        assert late.wire.connection in world.relay.agents
        assert [agent.wire.connection.is_closed for agent in silent] == [True, False, False]
        assert silent[0].goaway == ErrorCode.ENHANCE_YOUR_CALM
        assert counted(world) == {"crowded_out": 1}
        assert world.limits_met() == {"handshakes": 1}


async def test_tls_on_a_plain_port_is_told_once_in_ten_seconds(world: World, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        says(world, CLIENT_HELLO)
        await world.settle()
    await world.advance(10)
    says(world, CLIENT_HELLO)
    await world.settle()
    assert counted(world) == {"tls": 6}
    lines = [message for message in caplog.messages if "event=handshake_failed" in message]
    assert [re.findall(r"cause=(\S+)", line) for line in lines] == [["tls"], ["tls"]]
    assert "the peer speaks TLS where plain text is spoken" in lines[0]
    assert [re.findall(r"unlogged_before=(\d+)", line) for line in lines] == [[], ["4"]]


@pytest.mark.parametrize(
    ("said", "cause", "is_logged"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "http1", False),
        (b"SSH-2.0-OpenSSH\r\n", "foreign", True),
        (frames.PREFACE + frames.frame(frames.PING, 0, 0, bytes(8)), "broken", True),
    ],
)
async def test_what_else_is_spoken_is_counted(
    world: World, caplog: pytest.LogCaptureFixture, said: bytes, cause: str, is_logged: bool
) -> None:
    says(world, said)
    await world.settle()
    assert counted(world) == {cause: 1}
    assert ("event=handshake_failed" in caplog.text) is is_logged


async def test_who_connects_and_leaves_is_counted_and_not_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    agent = world.agent()
    agent.http2.take_output()
    agent.hang_up()
    assert counted(world) == {"closed": 1}
    assert not caplog.messages


async def test_http2_that_tls_has_not_agreed_on_is_refused(world: World) -> None:
    agent = world.agent()
    connection_of(world, agent).on_secured(Session("TLSv1.3", is_http2=False, spiffe_id=""))
    await world.settle()
    assert agent.goaway == ErrorCode.PROTOCOL_ERROR
    assert agent.wire.connection.is_closed
    assert counted(world) == {"no_h2": 1}


class Curious:
    """A policy that remembers who asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        self.asked.append(facts.spiffe_id)
        return views[0]


@pytest.mark.parametrize("path", [b"/inference.v1.Inference/Generate", b"/test.Opaque/Talk"])
async def test_a_policy_sees_who_asks(path: bytes) -> None:
    policy = Curious()
    async with a_world(policy=policy) as world:
        named, nameless = world.agent(), world.agent()
        connection_of(world, named).on_secured(Session("TLSv1.3", is_http2=True, spiffe_id=AGENT_ID))
        for agent in (named, nameless):
            agent.call(path)
            await world.settle()
        for request in world.requests("r0"):
            request.end((b":status", b"200"), (b"grpc-status", b"0"))
        await world.settle()
    assert policy.asked == [AGENT_ID, ""]


AUTHORITY = Authority()
CONTEXT = server_context(AgentTls(AUTHORITY.issue("gateway"), AUTHORITY.ca))


def tls_agent(world: World) -> tuple[TlsSocket, MemorySocket]:
    """A new connection to a port where TLS is spoken."""
    tls = TlsSocket(AgentConnection(world.relay, network=1), CONTEXT, is_server=True, empty_records=32)
    socket = MemorySocket()
    tls.connection_made(socket)
    return tls, socket


async def test_the_time_for_a_handshake_is_also_that_of_tls(world: World) -> None:
    tls, socket = tls_agent(world)
    tls.data_received(CLIENT_HELLO[:20])
    await world.advance(world.relay.limits.handshake_timeout_s)
    assert socket.is_closed
    tls.connection_lost(None)
    assert (counted(world), under_way(world)) == ({"timeout": 1}, 0)
    assert not world.relay.agents


@pytest.mark.parametrize(
    ("said", "cause"), [(frames.PREFACE, "plain_text"), (CLIENT_HELLO, "broken"), (b"\x16\x03\x01", "closed")]
)
async def test_a_handshake_of_tls_that_fails_is_counted_by_its_cause(world: World, said: bytes, cause: str) -> None:
    tls, socket = tls_agent(world)
    tls.data_received(said + bytes(300) if said == CLIENT_HELLO else said)
    assert socket.is_closed is (cause != "closed")
    tls.connection_lost(None)
    assert counted(world) == {cause: 1}
    assert (len(world.relay.agents), world.agents_gone) == (0, [1])


async def test_an_agent_that_updates_its_keys_again_and_again_is_counted(world: World, tmp_path: Path) -> None:
    connection = AgentConnection(world.relay, network=1)
    ours = End(lambda _: TlsSocket(connection, SERVER, is_server=True, empty_records=32))
    agent = Updating(tmp_path / "keys", ours)
    ours.hear(b"".join(agent.update() for _ in range(100)))
    assert world.limits_met() == {"tls_empty_records": 1}
    assert ours.socket.is_closed
    ours.lose()
    assert counted(world) == {"broken": 1}  # it had not spoken HTTP/2 yet
