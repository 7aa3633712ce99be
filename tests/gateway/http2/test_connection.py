"""What an owner asks of a connection and is told by it."""

from gateway.http2 import frames
from gateway.http2.frames import ErrorCode, Setting
from gateway.http2.limits import Limits
from gateway.http2.streams import State
from tests.gateway.http2.raw_peer import (
    ALL,
    REQUEST,
    RESPONSE,
    TRAILERS,
    Frame,
    RawPeer,
    data,
    goaway_codes,
    headers,
    of_kind,
    ping,
    resets,
    settings,
)

GOAWAY_BEFORE_ALL = frames.goaway(frames.MAX_STREAM_ID, ErrorCode.NO_ERROR)


def last_ids(answer: list[Frame]) -> list[int]:
    return [frames.read_word(frame.payload) for frame in of_kind(frames.GOAWAY, answer)]


def increments(answer: list[Frame]) -> list[tuple[int, int]]:
    return [(frame.stream_id, frames.read_word(frame.payload)) for frame in of_kind(frames.WINDOW_UPDATE, answer)]


def test_both_sides_announce_what_they_take() -> None:
    limits = Limits(streams=7, stream_window_bytes=100_000, connection_window_bytes=200_000, header_list_bytes=5_000)
    for is_server, own in ((True, (Setting.MAX_CONCURRENT_STREAMS, 7)), (False, (Setting.ENABLE_PUSH, 0))):
        first, second, *_ = RawPeer(is_server=is_server, limits=limits).greeting
        assert dict(frames.read_settings(first.payload)) == {
            Setting.HEADER_TABLE_SIZE: 0,
            Setting.INITIAL_WINDOW_SIZE: 100_000,
            Setting.MAX_HEADER_LIST_SIZE: 5_000,
            own[0]: own[1],
        }
        assert increments([second]) == [(0, 200_000 - 65_535)]


def test_the_owner_is_told_when_the_peer_s_settings_are_in_force() -> None:
    peer = RawPeer(is_server=False, opening=b"")
    assert not peer.owner.is_peer_ready
    peer.send(settings((Setting.MAX_CONCURRENT_STREAMS, 1)))
    assert peer.owner.is_peer_ready
    peer.open()
    assert not peer.connection.can_open


def test_a_request_and_its_answer() -> None:
    server, client = RawPeer(), RawPeer(is_server=False)
    stream, recorder = client.open()
    client.connection.send_data(stream, b"request", is_end=True)
    request, content = client.sent()
    assert client.decode(request) == list(REQUEST)
    asked, heard = server.request()
    assert server.send(data(1, content.payload, content.flags)) == []
    assert heard.events == [("last data", b"request")]
    server.connection.send_headers(asked, RESPONSE)
    server.connection.send_data(asked, b"response")
    server.connection.send_headers(asked, TRAILERS, is_end=True)
    client.send(*[frames.frame(f.kind, f.flags, f.stream_id, f.payload) for f in server.sent()])
    assert recorder.events == [("headers", RESPONSE, False), ("data", b"response"), ("headers", TRAILERS, True)]
    assert not client.connection.streams
    assert not server.connection.streams


def test_credit_is_told_in_halves_of_the_window() -> None:
    peer = RawPeer(limits=Limits(stream_window_bytes=100_000))
    stream, _ = peer.request()
    peer.send(*[data(1, bytes(15_000))] * 4)
    peer.connection.credit(stream, 49_999)
    assert peer.sent() == []
    peer.connection.credit(stream, 1)
    assert increments(peer.sent()) == [(1, 50_000)]


def test_what_is_credited_may_be_sent_again() -> None:
    peer = RawPeer(limits=Limits(stream_window_bytes=65_535))
    stream, recorder = peer.request()
    for _ in range(20):
        peer.send(data(1, bytes(16_000)))
        peer.connection.credit(stream, 16_000)
    assert recorder.content == bytes(320_000)
    assert peer.send(*[data(1, bytes(16_000))] * 5)[-1].kind == frames.RST_STREAM


def test_a_stream_that_has_ended_is_not_credited() -> None:
    peer = RawPeer()
    stream, _ = peer.request(is_end=True)
    peer.connection.credit(stream, 1_000_000)
    assert peer.sent() == []


def test_the_connection_s_window_is_given_back_whoever_takes_the_content() -> None:
    peer = RawPeer(limits=Limits(connection_window_bytes=65_535, stream_window_bytes=65_535))
    stream, _ = peer.request()
    peer.connection.reset(stream, ErrorCode.CANCEL)
    peer.sent()
    for _ in range(20):
        answer = peer.send(*[data(1, bytes(15_000))] * 3)
        assert increments(answer) == [(0, 45_000)]


def test_padding_is_credited_at_once() -> None:
    peer = RawPeer(limits=Limits(stream_window_bytes=65_535, connection_window_bytes=2**20))
    peer.request()
    padded = data(1, b"\xff" + b"x" + bytes(255), frames.PADDED)
    assert sum(increment for _, increment in increments(peer.send(*[padded] * 200))) > 30_000


def test_a_server_drains_in_two_phases() -> None:
    peer = RawPeer()
    old, _ = peer.request(1, is_end=True)
    peer.connection.drain()
    peer.connection.drain()
    first, probe = peer.sent()
    assert last_ids([first]) == [frames.MAX_STREAM_ID]
    on_its_way, _ = peer.request(3, is_end=True)
    for _ in range(3):
        answer = peer.send(ping(probe.payload, frames.ACK))
        assert last_ids(answer) in ([3], [])
    assert peer.send(headers(5, flags=ALL), data(5), ping()) == [Frame(frames.PING, frames.ACK, 0, b"01234567")]
    assert len(peer.owner.requests) == 2
    for stream in (old, on_its_way):
        assert not peer.connection.is_finished
        peer.connection.send_headers(stream, RESPONSE, is_end=True)
    assert peer.connection.is_finished


def test_the_last_id_of_a_goaway_never_rises() -> None:
    peer = RawPeer()
    peer.request(1)
    peer.connection.drain()
    probe = peer.sent()[-1]
    peer.send(ping(probe.payload, frames.ACK), headers(3))
    peer.connection.abort(ErrorCode.INTERNAL_ERROR, "x")
    assert last_ids(peer.sent()) == [1]


def test_an_agent_that_leaves_does_not_stop_the_server_from_draining() -> None:
    peer = RawPeer()
    peer.send(frames.goaway(0, ErrorCode.NO_ERROR, b"bye"))
    assert peer.owner.goaways == [(ErrorCode.NO_ERROR, b"bye")]
    peer.request(1)
    peer.connection.drain()
    assert last_ids(peer.sent()) == [frames.MAX_STREAM_ID]


def test_settings_come_first_even_where_nobody_has_spoken() -> None:
    drained, aborted = RawPeer(opening=b""), RawPeer(opening=b"")
    drained.connection.drain()
    aborted.connection.abort(ErrorCode.SETTINGS_TIMEOUT, "no preface in time")
    for peer in (drained, aborted):
        answer = peer.sent()
        assert [frame.kind for frame in answer] == [frames.SETTINGS, frames.WINDOW_UPDATE, frames.GOAWAY]
        assert last_ids(answer) == [0]
        assert peer.connection.is_finished
        assert peer.send(frames.PREFACE, settings(), headers()) == []


def test_a_client_drains_in_one_phase() -> None:
    peer = RawPeer(is_server=False)
    stream, _ = peer.open()
    peer.connection.drain()
    assert [frame.kind for frame in peer.sent()] == [frames.HEADERS, frames.GOAWAY]
    assert not peer.connection.can_open
    assert not peer.connection.is_finished
    peer.connection.reset(stream, ErrorCode.CANCEL)
    assert peer.connection.is_finished


def test_streams_above_the_last_id_of_a_goaway_were_not_processed() -> None:
    peer = RawPeer(is_server=False)
    (_, processed), (_, unprocessed) = peer.open(is_end=True), peer.open(is_end=True)
    peer.send(GOAWAY_BEFORE_ALL)
    assert (processed.events, unprocessed.events) == ([], [])
    assert not peer.connection.can_open
    peer.send(frames.goaway(1, ErrorCode.NO_ERROR))
    assert (processed.events, unprocessed.events) == ([], [("reset", ErrorCode.REFUSED_STREAM)])
    peer.send(headers(1, RESPONSE, ALL))
    assert processed.events == [("headers", RESPONSE, True)]
    assert peer.connection.is_finished


def test_what_a_server_sends_on_a_stream_that_it_has_not_processed_is_ignored() -> None:
    peer = RawPeer(is_server=False)
    peer.open()
    peer.send(frames.goaway(0, ErrorCode.NO_ERROR))
    assert peer.send(headers(1, RESPONSE), data(1), frames.rst_stream(1, 0)) == []
    assert peer.connection.fault is None


def test_a_server_that_answers_early_leaves_the_rest_of_the_request() -> None:
    peer = RawPeer()
    stream, recorder = peer.request()
    peer.connection.send_headers(stream, RESPONSE)
    peer.connection.send_headers(stream, TRAILERS, is_end=True)
    answer = peer.sent()
    assert [frame.kind for frame in answer] == [frames.HEADERS, frames.HEADERS, frames.RST_STREAM]
    assert resets(answer) == [(1, ErrorCode.NO_ERROR)]
    assert peer.send(data(1), headers(1, TRAILERS, ALL), frames.window_update(1, 1)) == []
    assert recorder.events == []


def test_a_client_whose_request_has_ended_still_reads() -> None:
    peer = RawPeer(is_server=False)
    stream, recorder = peer.open(is_end=True)
    peer.send(headers(1, RESPONSE), data(1))
    assert stream.state is State.HALF_CLOSED_LOCAL
    assert recorder.content == b"content"


def test_late_frames_of_a_thousand_cancelled_streams_are_ignored() -> None:
    for is_server in (True, False):
        peer = RawPeer(is_server=is_server, limits=Limits(streams=2_000))
        ids = range(1, 2_001, 2)
        for stream_id in ids:
            stream = peer.request(stream_id)[0] if is_server else peer.open()[0]
            peer.connection.reset(stream, ErrorCode.CANCEL)
        peer.sent()
        for stream_id in ids:
            late = headers(stream_id, TRAILERS, ALL) if is_server else headers(stream_id, RESPONSE)
            assert peer.send(data(stream_id), late, frames.rst_stream(stream_id, 0)) == []
        assert peer.connection.fault is None


def test_a_client_without_stream_ids_left_is_exhausted() -> None:
    peer = RawPeer(is_server=False)
    peer.connection.last_stream_id = frames.MAX_STREAM_ID - 2
    assert peer.connection.can_open
    stream, _ = peer.open()
    assert stream.id == frames.MAX_STREAM_ID
    assert peer.connection.is_exhausted
    assert not peer.connection.can_open


def test_an_aborted_connection_is_silent_and_deaf() -> None:
    peer = RawPeer()
    _, recorder = peer.request()
    peer.connection.abort(ErrorCode.SETTINGS_TIMEOUT, "late")
    peer.connection.abort(ErrorCode.INTERNAL_ERROR, "twice")
    assert goaway_codes(peer.sent()) == [ErrorCode.SETTINGS_TIMEOUT]
    assert peer.send(ping(), data(1), headers(3)) == []
    assert recorder.events == []
    assert peer.connection.is_finished


def test_what_follows_a_fault_is_not_looked_at() -> None:
    peer = RawPeer()
    _, recorder = peer.request()
    assert goaway_codes(peer.send(ping(stream_id=1), data(1), headers(3))) == [ErrorCode.PROTOCOL_ERROR]
    assert len(peer.owner.requests) == 1
    assert recorder.events == []


def test_pings_are_answered_and_ours_told_to_the_owner() -> None:
    peer = RawPeer()
    assert peer.send(ping(b"abcdefgh")) == [Frame(frames.PING, frames.ACK, 0, b"abcdefgh")]
    peer.connection.ping(b"12345678")
    assert peer.sent() == [Frame(frames.PING, 0, 0, b"12345678")]
    peer.send(ping(b"12345678", frames.ACK))
    assert peer.owner.ping_acks == [b"12345678"]
