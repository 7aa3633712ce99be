"""How the tables of cases are written: what a peer sends, and what has to come of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from gateway.http2 import frames
from gateway.http2.frames import ErrorCode
from tests.gateway.http2.raw_peer import (
    ACK,
    RESPONSE,
    TRAILERS,
    Frame,
    RawPeer,
    goaway_codes,
    of_kind,
    ping,
    resets,
)

Step = bytes | Callable[[RawPeer], None]
"""Frames that the peer sends, or what the connection's owner does."""
Outcome = Callable[[RawPeer, list[Frame]], None]


@dataclass(frozen=True)
class Case:
    section: str
    says: str
    steps: Sequence[Step]
    outcome: Outcome
    opening: bytes | None = None


def parametrized(cases: Sequence[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[f"{case.section} {case.says}" for case in cases])


def run(case: Case, peer: RawPeer) -> None:
    answer = list(peer.greeting)
    for step in case.steps:
        if isinstance(step, bytes):
            peer.connection.receive(step)
        else:
            step(peer)
        answer += peer.sent()
    case.outcome(peer, answer)


def ends(code: ErrorCode) -> Outcome:
    """A connection error: GOAWAY, and nothing is answered any more."""

    def outcome(peer: RawPeer, answer: list[Frame]) -> None:
        assert goaway_codes(answer) == [code]
        assert answer[-1].kind == frames.GOAWAY
        assert peer.connection.fault is not None
        assert peer.connection.is_finished
        assert peer.send(ping()) == []

    return outcome


def resets_stream(code: ErrorCode, stream_id: int = 1) -> Outcome:
    """A stream error: RST_STREAM, and the connection lives on."""

    def outcome(peer: RawPeer, answer: list[Frame]) -> None:
        assert resets(answer) == [(stream_id, code)]
        assert stream_id not in peer.connection.streams
        _require_alive(peer, answer)

    return outcome


def passes(*stream_ids: int) -> Outcome:
    """Nothing is wrong; these streams are open at the owner's, which can answer them."""

    def outcome(peer: RawPeer, answer: list[Frame]) -> None:
        assert resets(answer) == []
        _require_alive(peer, answer)
        for stream_id in stream_ids:
            stream = peer.connection.streams[stream_id]
            peer.connection.send_headers(stream, RESPONSE)
            peer.connection.send_headers(stream, TRAILERS, is_end=True)
            assert [frame.kind for frame in peer.sent()][:2] == [frames.HEADERS, frames.HEADERS]

    return outcome


def sends(*expected: Frame) -> Outcome:
    """These frames are among the answer, in this order, and nothing is wrong."""

    def outcome(peer: RawPeer, answer: list[Frame]) -> None:
        rest = iter(answer)
        assert all(frame in rest for frame in expected)
        _require_alive(peer, answer)

    return outcome


def answers(peer: RawPeer) -> None:
    """The owner of a server answers the newest request."""
    stream = peer.owner.requests[-1][0]
    peer.connection.send_headers(stream, RESPONSE)
    peer.connection.send_data(stream, b"answer")
    peer.connection.send_headers(stream, TRAILERS, is_end=True)


def cancels(peer: RawPeer) -> None:
    """The owner resets the newest stream."""
    peer.connection.reset(next(reversed(peer.connection.streams.values())), ErrorCode.CANCEL)


def _require_alive(peer: RawPeer, answer: list[Frame]) -> None:
    assert goaway_codes(answer) == []
    assert peer.connection.fault is None
    assert of_kind(frames.PING, peer.send(ping(b"alive?!?"))) == [Frame(frames.PING, ACK, 0, b"alive?!?")]
