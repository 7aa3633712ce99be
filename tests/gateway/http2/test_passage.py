"""Messages pass from stream to stream without a question, and nothing is different for it."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http2 import frames
from gateway.http2.connection import Connection
from gateway.http2.frames import ErrorCode
from gateway.http2.headers import Fields
from gateway.http2.limits import Limits
from gateway.http2.passage import PASSAGE_BYTES
from gateway.http2.streams import Stream
from gateway.rpc.framing import prefixed
from tests.gateway.http2.raw_peer import (
    END_STREAM,
    PADDED,
    RESPONSE,
    Frame,
    RawPeer,
    data,
    goaway_codes,
    headers,
    of_kind,
    resets,
    window,
)

WINDOW_BYTES = 64 * 1024


class Way:
    """From one stream of a replica to one of an agent, as an attempt goes it: what cannot leave at once is credited
    when it does."""

    def __init__(self, agent: Connection, onward: Stream, *, lets_pass: bool) -> None:
        self.agent, self.onward, self.lets_pass = agent, onward, lets_pass
        self.replica: Connection
        self.stream: Stream
        self.asked = 0
        self.passed_at: list[float] = []
        self.held_bytes = 0
        self.resets: list[int] = []

    def on_data(self, data: bytes, start: int, end: int) -> None:
        self.asked += 1
        size = end - start - 9
        if self.agent.forward(self.onward, data, start, end):
            self.replica.credit(self.stream, size)
            if self.lets_pass:
                self.replica.let_pass(self.stream, self, self.agent, self.onward)
        else:
            self.held_bytes += size

    def on_passed(self, now_s: float) -> None:
        self.passed_at.append(now_s)

    def on_last_data(self, payload: bytes) -> None:
        if payload:
            self.held_bytes += len(payload)
            self.agent.send_data(self.onward, payload)

    def on_reset(self, code: int) -> None:
        self.resets.append(code)

    def on_headers(self, fields: Fields, is_end: bool) -> None: ...
    def on_sent(self, size: int) -> None: ...
    def on_connection_lost(self) -> None: ...


class AgentSide:
    """Receives for the agent's stream: what waited there has left."""

    def __init__(self, way: Way) -> None:
        self.way = way

    def on_sent(self, size: int) -> None:
        self.way.held_bytes -= size
        self.way.replica.credit(self.way.stream, size)

    def on_data(self, data: bytes, start: int, end: int) -> None: ...
    def on_last_data(self, payload: bytes) -> None: ...
    def on_reset(self, code: int) -> None: ...
    def on_headers(self, fields: Fields, is_end: bool) -> None: ...
    def on_connection_lost(self) -> None: ...


class Relay:
    """Streams 1, 3, ... of a replica lead to streams 1, 3, ... of an agent."""

    def __init__(self, streams: int = 1, *, lets_pass: bool = True) -> None:
        self.lets_pass = lets_pass
        limits = Limits(stream_window_bytes=WINDOW_BYTES)
        self.agent, self.replica = RawPeer(), RawPeer(is_server=False, limits=limits)
        self.ways: list[Way] = []
        for number in range(streams):
            onward, _ = self.agent.request(1 + 2 * number, is_end=True)
            way = Way(self.agent.connection, onward, lets_pass=lets_pass)
            onward.receiver = AgentSide(way)
            way.replica = self.replica.connection
            way.stream = way.replica.open_stream((), way, is_end=True)
            self.agent.connection.send_headers(onward, RESPONSE)
            self.replica.send(headers(way.stream.id, RESPONSE))
            self.ways.append(way)
        self.agent.sent()

    def say(self, *pieces: bytes) -> list[Frame]:
        """Let the replica send that at once; return what the agent gets."""
        self.read(b"".join(pieces))
        return self.agent.sent()

    def read(self, wire: bytes) -> bool:
        """As a replica's socket does with what it has read. Return whether all has passed at once."""
        connection = self.replica.connection
        left = connection.pass_on(wire) if self.lets_pass else wire
        if left:
            connection.receive(left)
        return not left


def message(size: int = 6, stream_id: int = 1) -> bytes:
    return data(stream_id, prefixed(b"m" * size))


def opened(*, messages: int = 1) -> tuple[Relay, Way]:
    relay = Relay()
    relay.say(*[message()] * messages)
    return relay, relay.ways[0]


def test_after_the_first_message_nobody_is_asked() -> None:
    relay, way = opened()
    relay.replica.now_s = 7.5
    assert relay.say(message(), message()) == [Frame(frames.DATA, 0, 1, prefixed(b"mmmmmm"))] * 2
    assert way.asked == 1
    assert way.passed_at == [7.5, 7.5]


def test_what_was_read_passes_at_once_as_far_as_it_is_whole_messages() -> None:
    relay, _ = opened()
    assert relay.read(message() + message())
    assert not relay.read(message() + data(payload=b"half"))
    assert not relay.read(message()[:12])
    assert not relay.read(message()[12:] + message())
    assert [len(frame.payload) for frame in relay.agent.sent()] == [11, 11, 11, 4, 11, 11]


def test_nothing_passes_on_a_connection_that_has_failed() -> None:
    relay, way = opened()
    relay.replica.connection.abort(ErrorCode.PROTOCOL_ERROR, "a fault")
    assert not relay.read(message())
    assert not way.passed_at


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(data(payload=b"\x01" + prefixed(b"zip")[1:]), id="a compressed message"),
        pytest.param(data(payload=prefixed(b"half of it")[:9]), id="half a message"),
        pytest.param(data(payload=prefixed(b"a") + prefixed(b"b")), id="two messages"),
        pytest.param(data(payload=b"\0\0"), id="less than a prefix"),
        pytest.param(data(payload=b"\x02" + bytes(PADDED) + bytes(2), flags=PADDED), id="padding"),
        pytest.param(message(PASSAGE_BYTES - 5), id="a frame longer than what is left of the passage"),
    ],
)
def test_whatever_is_no_whole_message_is_asked_about(wire: bytes) -> None:
    relay, way = opened(messages=2)
    relay.say(wire)
    assert (way.asked, len(way.passed_at)) == (2, 1)


def test_a_passage_is_credited_when_it_ends() -> None:
    relay, way = opened()
    relay.say(*[message(1_000)] * 16)
    assert way.stream.receive_window == WINDOW_BYTES - 11
    relay.say(message(1_000))
    assert way.asked == 2
    assert way.stream.receive_window + way.stream.uncredited == WINDOW_BYTES
    assert way.stream.uncredited == 11 + 17 * 1_005


def test_the_replica_is_told_before_its_window_is_empty() -> None:
    relay, _ = opened()
    got = 0
    for _ in range(1_000):
        got += len(of_kind(frames.DATA, relay.say(message(995))))
        relay.agent.connection.receive(frames.window_update(0, 1_000) + frames.window_update(1, 1_000))
        relay.replica.connection.receive(b"")
    told = sum(frames.read_word(f.payload) for f in relay.replica.sent() if f.kind == frames.WINDOW_UPDATE)
    assert got == 1_000
    assert told >= 1_000 * 1_000 - WINDOW_BYTES


def test_where_the_agent_does_not_read_messages_wait_and_keep_their_order() -> None:
    relay, way = opened()
    relay.agent.connection.pause()
    assert relay.say(message(1), message(2)) == []
    assert not way.passed_at
    relay.agent.connection.resume()
    assert [len(frame.payload) for frame in relay.say(message(3))] == [6, 7, 8]


def test_a_stream_that_was_overrun_is_reset() -> None:
    relay, way = opened()
    relay.agent.connection.pause()
    relay.say(*[message(16_000)] * 5)
    assert resets(relay.replica.sent()) == [(1, ErrorCode.FLOW_CONTROL_ERROR)]
    assert way.resets == [ErrorCode.FLOW_CONTROL_ERROR]


def test_a_connection_that_was_overrun_ends() -> None:
    relay = Relay()
    relay.say(message())
    relay.replica.connection._receive_window = 100  # pyright: ignore[reportPrivateUsage]
    relay.say(message(50), message(50))
    assert goaway_codes(relay.replica.sent()) == [ErrorCode.FLOW_CONTROL_ERROR]


def test_a_header_block_may_not_be_interrupted_by_a_message() -> None:
    relay, way = opened()
    relay.say(headers(1, RESPONSE, 0), message())
    assert goaway_codes(relay.replica.sent()) == [ErrorCode.PROTOCOL_ERROR]
    assert not way.passed_at


def test_nothing_passes_to_a_stream_that_has_ended() -> None:
    relay, way = opened()
    relay.agent.connection.reset(way.onward, ErrorCode.CANCEL)
    relay.replica.connection.reset(way.stream, ErrorCode.CANCEL)
    assert of_kind(frames.DATA, relay.say(message())) == []
    assert not way.passed_at


def test_nothing_passes_behind_the_end() -> None:
    relay, way = opened()
    relay.say(data(payload=b"", flags=END_STREAM), message())
    assert not way.passed_at
    assert resets(relay.replica.sent()) == [(1, ErrorCode.STREAM_CLOSED)]


# Kinds of what happens, and a size.
STEPS = st.lists(
    st.tuples(st.sampled_from("mmmmmmhcpes-uUwWrq"), st.integers(0, 2_000), st.integers(0, 2)), max_size=60
)


@given(STEPS, st.integers(0, 3), st.integers(0, 2**32))
def test_with_and_without_passages_the_same_leaves(steps: list[tuple[str, int, int]], cuts: int, seed: int) -> None:
    """Content and order, to the byte; and no credit is lost."""
    with_passages, without = Relay(3), Relay(3, lets_pass=False)
    for relay in (with_passages, without):
        rng = random.Random(seed)
        relay.agent.connection.receive(window(4_000))
        for kind, size, number in steps:
            act(relay, kind, size, 1 + 2 * number, cuts, rng)
    got, wanted = (b"".join(relay.agent.connection.take_output()) for relay in (with_passages, without))
    assert got == wanted
    assert with_passages.agent.connection.send_window == without.agent.connection.send_window
    for one, other in zip(with_passages.ways, without.ways, strict=True):
        assert one.held_bytes == other.held_bytes
        assert one.onward.send_window == other.onward.send_window
        assert one.resets == other.resets
        if not one.resets and one.stream.is_receiving:
            assert one.stream.receive_window + one.stream.uncredited + one.held_bytes == WINDOW_BYTES
        assert one.asked + len(one.passed_at) == other.asked


def act(relay: Relay, kind: str, size: int, stream_id: int, cuts: int, rng: random.Random) -> None:
    """`m`essage, `h`alf a message, `c`ompressed, `p`added, `e`mpty, many `s`mall ones; `u`pdated windows of the agent's
    stream or (`U`) connection; narrow and wide initial `w`indows; the agent stops to `r`ead, and reads again (`q`)."""
    agent = relay.agent.connection
    whole = prefixed(b"x" * size)
    replica_says = {
        "m": data(stream_id, whole),
        "h": data(stream_id, whole[: size // 2 + 1]),
        "c": data(stream_id, b"\x01" + whole[1:]),
        "p": data(stream_id, b"\x03" + whole + bytes(3), PADDED),
        "e": data(stream_id, b""),
        "s": b"".join(data(1 + 2 * rng.randrange(3), prefixed(bytes(rng.randrange(40)))) for _ in range(12)),
    }
    agent_says = {
        "u": frames.window_update(stream_id, size + 1),
        "U": frames.window_update(0, size + 1),
        "w": window(size),
        "W": window(size * 4),
    }
    if kind in replica_says:
        for piece in cut(replica_says[kind], cuts, rng):
            relay.read(piece)
    elif kind in agent_says:
        agent.receive(agent_says[kind])
    elif kind == "r":
        agent.pause()
    elif kind == "q":
        agent.resume()


def cut(wire: bytes, cuts: int, rng: random.Random) -> list[bytes]:
    places = sorted([0, len(wire), *(rng.randrange(len(wire) + 1) for _ in range(cuts))])
    return [wire[start:end] for start, end in pairwise(places)]
