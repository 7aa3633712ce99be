"""Attacks from one peer: how much of each is done before the connection ends, and that honest peers never meet the
limits. Time stands still unless a test moves it."""

import pytest

from gateway.errors import Limit
from gateway.http2 import frames
from gateway.http2.frames import ErrorCode
from gateway.http2.limits import Limits, Rate
from tests.gateway.http2.raw_peer import (
    ALL,
    REQUEST,
    RESPONSE,
    SETTINGS_ACK,
    TRAILERS,
    Frame,
    RawPeer,
    continuation,
    data,
    goaway_codes,
    headers,
    of_kind,
    ping,
    priority,
    settings,
    window,
)

LIMITS = Limits(
    streams=10,
    resets=Rate(20, 1),
    idle_frames=Rate(50, 10),
    header_bytes=Rate(50_000, 1_000),
    settings=Rate(10, 1),
    unread_replies=30,
)
RST = frames.rst_stream(1, ErrorCode.CANCEL)


def flooded(peer: RawPeer, piece: bytes, count: int, limit: Limit | None = None) -> bool:
    """Return whether the peer was told to calm down, by `limit` where there is one."""
    answer = peer.send(piece * count)
    assert goaway_codes(answer) in ([], [ErrorCode.ENHANCE_YOUR_CALM])
    assert limit is None or peer.owner.limits == [limit]
    return peer.connection.fault is not None


def reset_streams(peer: RawPeer, count: int, breach: bytes) -> int:
    """Open streams and have them reset. Return how many were, before the connection ended."""
    for number in range(count):
        stream_id = peer.connection.last_stream_id + 2 if peer.connection.last_stream_id else 1
        peer.send(headers(stream_id), breach[:5] + stream_id.to_bytes(4, "big") + breach[9:])
        if peer.connection.fault is not None:
            assert peer.connection.fault.code is ErrorCode.ENHANCE_YOUR_CALM
            return number
    return count


@pytest.mark.parametrize(
    "idle",
    [
        ping(),
        ping(flags=frames.ACK),
        SETTINGS_ACK,
        priority(),
        frames.window_update(0, 1),
        frames.window_update(1, 1),
        frames.frame(0x16, 0, 0),
        frames.goaway(0, 0),
        data(1, b""),
        data(1, b"\x07" + bytes(7), frames.PADDED),
    ],
)
def test_a_flood_of_frames_that_carry_nothing_ends_the_connection(idle: bytes) -> None:
    peer = RawPeer(limits=LIMITS)
    peer.request()
    assert not flooded(peer, idle, 45)
    peer.now_s += 3
    assert not flooded(peer, idle, 30)
    assert flooded(peer, idle, 10, Limit.IDLE_FRAMES)


def test_a_flood_of_content_for_nobody_ends_the_connection() -> None:
    peer = RawPeer(limits=LIMITS)
    stream, _ = peer.request()
    peer.connection.reset(stream, ErrorCode.CANCEL)
    assert not flooded(peer, data(), 45)
    assert flooded(peer, data(), 10)


def test_rapid_reset() -> None:
    peer = RawPeer(limits=LIMITS)
    assert reset_streams(peer, 100, RST) == 20
    assert len(peer.owner.requests) == 21
    assert peer.owner.limits == [Limit.RESETS]


def test_agents_that_have_waited_may_all_give_up() -> None:
    peer = RawPeer(limits=LIMITS)
    for stream_id in range(1, 201, 2):
        peer.request(stream_id)
        peer.now_s += 1
        assert peer.send(frames.rst_stream(stream_id, ErrorCode.CANCEL)) == []


def test_made_you_reset() -> None:
    for breach in (frames.window_update(1, 0), frames.window_update(1, 2**31 - 1), headers(1, TRAILERS)):
        assert reset_streams(RawPeer(limits=LIMITS), 100, breach) == 20


def test_resets_are_forgiven_with_time() -> None:
    peer = RawPeer(limits=LIMITS)
    assert reset_streams(peer, 20, RST) == 20
    peer.now_s += 5
    assert reset_streams(peer, 100, RST) == 5


def test_an_agent_that_cancels_half_of_what_it_asks_is_no_attacker() -> None:
    peer = RawPeer(limits=LIMITS)
    for _ in range(200):
        stream, _ = peer.request(peer.connection.last_stream_id + 2 if peer.connection.last_stream_id else 1)
        peer.send(frames.rst_stream(stream.id, ErrorCode.CANCEL))
        stream, _ = peer.request(stream.id + 2, is_end=True)
        peer.connection.send_headers(stream, RESPONSE, is_end=True)
        peer.sent()
    assert peer.connection.fault is None


def test_each_answer_is_worth_one_reset_once() -> None:
    peer = RawPeer(limits=LIMITS)
    for stream_id in (1, 3, 5):
        stream, _ = peer.request(stream_id, is_end=True)
        peer.connection.send_headers(stream, RESPONSE, is_end=True)
        peer.sent()
    assert reset_streams(peer, 100, RST) == 20 + 3


def test_a_stream_that_is_answered_may_be_reset() -> None:
    peer = RawPeer(limits=LIMITS)
    for stream_id in range(1, 401, 2):
        stream, _ = peer.request(stream_id)
        peer.connection.send_headers(stream, RESPONSE)
        peer.connection.send_data(stream, bytes(100))
        peer.send(frames.rst_stream(stream_id, ErrorCode.CANCEL))
    assert peer.connection.fault is None


def test_streams_above_the_limit_are_refused_and_then_too_many() -> None:
    peer = RawPeer(limits=LIMITS)
    answer = [frame for stream_id in range(1, 101, 2) for frame in peer.send(headers(stream_id))]
    refused = [frames.read_word(frame.payload) for frame in of_kind(frames.RST_STREAM, answer)]
    assert refused == [ErrorCode.REFUSED_STREAM] * 20
    assert goaway_codes(answer) == [ErrorCode.ENHANCE_YOUR_CALM]
    assert len(peer.connection.streams) == 10
    assert set(peer.owner.limits) == {Limit.STREAMS_PER_CONNECTION, Limit.RESETS}


def test_a_flood_of_settings_ends_the_connection_earlier() -> None:
    peer = RawPeer(limits=LIMITS)
    assert not flooded(peer, window(1_000) + window(2_000), 4)
    assert flooded(peer, settings(), 5, Limit.SETTINGS_FRAMES)


def test_a_settings_frame_full_of_windows_changes_each_stream_once() -> None:
    peer = RawPeer(limits=LIMITS)
    stream, _ = peer.request()
    answer = peer.send(settings(*[(4, size) for size in range(2_000)]))
    assert stream.send_window == 1_999
    assert answer == [Frame(frames.SETTINGS, frames.ACK, 0, b"")]


def test_a_header_flood_on_a_stream_that_nobody_reads() -> None:
    peer = RawPeer(limits=LIMITS)
    stream, _ = peer.request()
    peer.connection.reset(stream, ErrorCode.CANCEL)
    assert not flooded(peer, headers(1, TRAILERS, ALL), 400)
    assert flooded(peer, headers(1, TRAILERS, ALL), 400, Limit.HEADER_BYTES_RATE)


def test_large_header_lists_are_few() -> None:
    peer = RawPeer(limits=LIMITS)
    large = [*REQUEST, (b"x", bytes(range(65, 91)) * 385)]
    for stream_id in (1, 3, 5, 7):
        assert peer.send(headers(stream_id, large, ALL)) == []
    assert goaway_codes(peer.send(headers(9, large, ALL))) == [ErrorCode.ENHANCE_YOUR_CALM]
    assert len(peer.owner.requests) == 4


def test_a_header_list_in_many_empty_continuations() -> None:
    peer = RawPeer(limits=LIMITS)
    assert flooded(peer, headers(flags=0) + continuation(b"", flags=0) * 17, 1, Limit.CONTINUATION_FRAMES)
    assert peer.owner.requests == []


def test_answers_that_nobody_reads_are_bounded() -> None:
    peer = RawPeer(limits=LIMITS)
    peer.connection.pause()
    assert not flooded(peer, ping(), 30)
    assert flooded(peer, ping(), 10, Limit.UNREAD_REPLIES)


def test_reading_again_makes_room_for_answers() -> None:
    peer = RawPeer(limits=LIMITS)
    for _ in range(2):
        peer.connection.pause()
        assert not flooded(peer, ping(), 20)
        peer.connection.resume()
    assert peer.connection.fault is None


def test_an_agent_that_acknowledges_every_message_is_no_attacker() -> None:
    peer = RawPeer(limits=LIMITS)
    stream, _ = peer.request(is_end=True)
    peer.connection.send_headers(stream, RESPONSE)
    for _ in range(2_000):
        peer.connection.send_data(stream, bytes(60))
        assert len(of_kind(frames.DATA, peer.sent())) == 1
        peer.send(frames.window_update(0, 60), frames.window_update(1, 60), ping())
    assert peer.connection.fault is None


def test_short_calls_may_have_their_pings() -> None:
    peer = RawPeer(limits=LIMITS)
    for stream_id in range(1, 2_001, 2):
        stream, _ = peer.request(stream_id, is_end=True)
        peer.connection.send_headers(stream, RESPONSE, is_end=True)
        peer.send(frames.window_update(0, 1), frames.window_update(stream_id, 1), ping(), ping(flags=frames.ACK))
    assert peer.connection.fault is None


def test_a_tiny_window_buys_nothing() -> None:
    peer = RawPeer(limits=LIMITS)
    peer.send(window(1))
    stream, recorder = peer.request(is_end=True)
    peer.connection.send_headers(stream, RESPONSE)
    peer.connection.send_data(stream, bytes(10_000))
    assert flooded(peer, frames.window_update(1, 1), 200)
    assert recorder.sent_bytes < 70


def test_the_defaults_let_an_idle_agent_ping_for_ever() -> None:
    peer = RawPeer()
    for _ in range(30_000):
        peer.now_s += 10
        peer.send(ping())
    assert peer.connection.fault is None
