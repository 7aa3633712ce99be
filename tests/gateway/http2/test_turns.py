"""However much one read brings, others have their turn: so much work, then the rest waits."""

from gateway.http2 import frames
from gateway.http2.limits import Limits
from tests.gateway.http2.raw_peer import ALL, REQUEST, RawPeer, data, headers, of_kind, ping

LIMITS = Limits(turn_frames=64)


def test_a_flood_waits_for_its_next_turn() -> None:
    peer = RawPeer(limits=LIMITS)
    assert len(of_kind(frames.PING, peer.send(ping() * 100))) == 64
    assert peer.connection.has_more
    assert len(of_kind(frames.PING, peer.send(b""))) == 36
    assert not peer.connection.has_more


def test_requests_count_for_more() -> None:
    peer = RawPeer(limits=LIMITS)
    peer.send(*(headers(stream_id) for stream_id in range(1, 21, 2)))
    assert len(peer.owner.requests) == 4
    assert peer.connection.has_more


def test_one_that_brings_a_long_header_list_is_a_turn() -> None:
    peer = RawPeer(limits=LIMITS)
    long = [*REQUEST, (b"x", b"v" * 2_000)]
    peer.send(*(headers(stream_id, long, ALL) for stream_id in (1, 3, 5)))
    assert len(peer.owner.requests) == 1
    peer.send(b"")
    assert len(peer.owner.requests) == 2


def test_content_in_crumbs_waits_too() -> None:
    peer = RawPeer(limits=LIMITS)
    peer.send(headers())
    ((stream, _, _),) = peer.owner.requests
    peer.send(*(data(payload=b"x") for _ in range(100)))
    assert stream.receive_window == peer.connection.limits.stream_window_bytes - 64
    assert peer.connection.has_more
    peer.send(b"")
    assert stream.receive_window == peer.connection.limits.stream_window_bytes - 100
    assert not peer.connection.has_more


def test_content_in_long_frames_is_little_work() -> None:
    peer = RawPeer(limits=LIMITS)
    peer.send(headers(), *(data(payload=bytes(frames.MAX_FRAME_BYTES)) for _ in range(3)))
    assert not peer.connection.has_more
