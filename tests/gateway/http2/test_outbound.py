"""What leaves, and when: windows, what waits for them, and the socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http2 import frames
from gateway.http2.frames import ErrorCode
from gateway.http2.streams import State, Stream
from tests.gateway.http2.raw_peer import (
    END_STREAM,
    RESPONSE,
    TRAILERS,
    Frame,
    RawPeer,
    Recorder,
    data,
    of_kind,
    window,
)


def contents(answer: list[Frame], stream_id: int = 1) -> list[bytes]:
    return [frame.payload for frame in of_kind(frames.DATA, answer) if frame.stream_id == stream_id]


def answering(peer: RawPeer, stream_id: int = 1) -> tuple[Stream, Recorder]:
    stream, recorder = peer.request(stream_id, is_end=True)
    peer.connection.send_headers(stream, RESPONSE)
    peer.sent()
    return stream, recorder


def test_a_token_is_forwarded_with_the_other_stream_s_id() -> None:
    peer = RawPeer()
    stream, _ = answering(peer, 7)
    wire = b"before" + data(1, b"token") + b"behind"
    assert peer.connection.forward(stream, wire, 6, 6 + 9 + 5)
    assert peer.sent() == [Frame(frames.DATA, 0, 7, b"token")]


@given(st.integers(0, 50), st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.booleans())
def test_no_more_leaves_than_the_window_and_nothing_is_lost(size: int, payloads: list[bytes], forwards: bool) -> None:
    peer = RawPeer()
    peer.send(window(size))
    stream, recorder = answering(peer)
    at_once = 0
    for payload in payloads:
        if not forwards:
            peer.connection.send_data(stream, payload)
        elif peer.connection.forward(stream, wire := data(1, payload), 0, len(wire)):
            at_once += len(payload)
    whole = b"".join(payloads)
    first = b"".join(contents(peer.sent()))
    assert first == whole[:size]
    peer.connection.send_headers(stream, TRAILERS, is_end=True)
    answer = peer.send(frames.window_update(1, 1_000))
    assert first + b"".join(contents(answer)) == whole
    assert at_once + recorder.sent_bytes == len(whole)
    assert stream.state is State.CLOSED


def test_the_connection_s_window_bounds_what_is_forwarded() -> None:
    peer = RawPeer()
    peer.send(window(1_000_000))
    stream, recorder = answering(peer)
    wire = data(1, bytes(10_000))
    assert [peer.connection.forward(stream, wire, 0, len(wire)) for _ in range(7)] == [True] * 6 + [False]
    assert sum(map(len, contents(peer.sent()))) == frames.DEFAULT_WINDOW_BYTES
    assert len(contents(peer.send(frames.window_update(0, 10_000)))) == 1
    assert recorder.sent_bytes == 10_000


def test_a_payload_is_cut_into_frames_that_every_peer_takes() -> None:
    peer = RawPeer()
    stream, _ = answering(peer)
    peer.connection.send_data(stream, bytes(40_000), is_end=True)
    answer = peer.sent()
    assert [len(content) for content in contents(answer)] == [16_384, 16_384, 40_000 - 2 * 16_384]
    assert [frame.flags for frame in answer] == [0, 0, END_STREAM]


def test_what_is_long_leaves_in_parts_so_that_others_have_their_turn() -> None:
    peer = RawPeer()
    peer.send(window(2**20), frames.window_update(0, 2**20))
    stream, recorder = answering(peer)
    peer.connection.send_data(stream, bytes(600_000), is_end=True)
    parts: list[int] = []
    while answer := peer.sent():
        parts.append(sum(map(len, contents(answer))))
        peer.connection.go_on()
    assert parts == [2**18, 2**18, 600_000 - 2**19]
    assert recorder.sent_bytes == 600_000
    assert stream.state is State.CLOSED


def test_streams_take_turns_at_the_connection_s_window() -> None:
    peer = RawPeer()
    peer.send(window(1_000_000))
    long, _ = answering(peer, 1)
    short, _ = answering(peer, 3)
    peer.connection.send_data(long, bytes(300_000))
    peer.connection.send_data(short, b"short")
    assert len(b"".join(contents(peer.sent()))) == frames.DEFAULT_WINDOW_BYTES
    answer = peer.send(frames.window_update(0, 40_000))
    assert contents(answer, 3) == [b"short"]


def test_a_stream_without_a_window_keeps_no_other_waiting() -> None:
    peer = RawPeer()
    blocked, _ = answering(peer, 1)
    other, _ = answering(peer, 3)
    peer.send(window(0))
    peer.connection.send_data(blocked, b"blocked")
    peer.send(frames.window_update(3, 10))
    peer.connection.send_data(other, b"other")
    assert contents(peer.sent(), 3) == [b"other"]
    assert contents(peer.send(frames.window_update(1, 10)), 1) == [b"blocked"]


def test_trailers_stay_behind_the_data_that_waits() -> None:
    peer = RawPeer()
    peer.send(window(3))
    stream, _ = answering(peer)
    peer.connection.send_data(stream, b"content")
    peer.connection.send_headers(stream, TRAILERS, is_end=True)
    assert [frame.kind for frame in peer.sent()] == [frames.DATA]
    assert [frame.kind for frame in peer.send(frames.window_update(1, 2))] == [frames.DATA]
    answer = peer.send(frames.window_update(1, 2))
    assert [(frame.kind, frame.flags & END_STREAM) for frame in answer] == [
        (frames.DATA, 0),
        (frames.HEADERS, END_STREAM),
    ]


def test_a_full_socket_holds_data_back_and_not_the_end_of_a_stream() -> None:
    peer = RawPeer()
    held, _ = answering(peer, 1)
    ended, _ = answering(peer, 3)
    peer.connection.pause()
    wire = data(1, b"token")
    assert not peer.connection.forward(held, wire, 0, len(wire))
    peer.connection.send_data(ended, b"", is_end=True)
    assert [frame.stream_id for frame in peer.sent()] == [3]
    peer.connection.resume()
    assert contents(peer.sent(), 1) == [b"token"]


def test_nothing_overtakes_what_waits_for_its_turn() -> None:
    peer = RawPeer()
    first, recorder = answering(peer, 1)
    second, _ = answering(peer, 3)
    peer.connection.pause()
    peer.connection.send_data(first, b"first")
    peer.connection.send_data(second, b"1")
    wire = data(1, b"2")

    class Next(Recorder):
        def on_sent(self, size: int) -> None:
            assert not peer.connection.forward(second, wire, 0, len(wire))

    first.receiver = Next()
    peer.connection.resume()
    assert contents(peer.sent(), 3) == [b"1", b"2"]
    assert recorder.sent_bytes == 0


def test_a_reset_drops_what_waits() -> None:
    peer = RawPeer()
    peer.send(window(0))
    stream, recorder = answering(peer)
    peer.connection.send_data(stream, b"content")
    peer.connection.reset(stream, ErrorCode.CANCEL)
    assert [frame.kind for frame in peer.sent()] == [frames.RST_STREAM]
    assert peer.send(frames.window_update(0, 100), window(100)) == [Frame(frames.SETTINGS, 1, 0, b"")]
    assert recorder.sent_bytes == 0
    assert not peer.connection.streams


def test_a_stream_that_is_reset_loses_its_turn() -> None:
    peer = RawPeer()
    first, _ = answering(peer, 1)
    second, _ = answering(peer, 3)
    peer.connection.pause()
    for stream in (first, second):
        peer.connection.send_data(stream, b"token")
    peer.connection.reset(first, ErrorCode.CANCEL)
    peer.connection.resume()
    assert [(frame.kind, frame.stream_id) for frame in peer.sent()] == [(frames.RST_STREAM, 1), (frames.DATA, 3)]


def test_a_wider_window_is_acknowledged_before_it_is_used() -> None:
    peer = RawPeer()
    peer.send(window(0))
    stream, _ = answering(peer)
    peer.connection.send_data(stream, b"token")
    assert [frame.kind for frame in peer.send(window(5))] == [frames.SETTINGS, frames.DATA]


def test_the_peer_s_reset_drops_what_waits() -> None:
    peer = RawPeer()
    peer.send(window(0))
    stream, recorder = answering(peer)
    peer.connection.send_data(stream, b"content")
    peer.send(frames.rst_stream(1, ErrorCode.CANCEL))
    assert recorder.events == [("reset", ErrorCode.CANCEL)]
    assert of_kind(frames.DATA, peer.send(window(100))) == []


def test_sending_on_a_stream_that_has_ended_is_a_defect() -> None:
    peer = RawPeer()
    stream, _ = answering(peer)
    peer.connection.pause()
    peer.connection.send_data(stream, b"last", is_end=True)
    wire = data(1, b"token")
    for send in (
        lambda: peer.connection.send_data(stream, b"more"),
        lambda: peer.connection.send_headers(stream, TRAILERS, is_end=True),
        lambda: peer.connection.forward(stream, wire, 0, len(wire)),
    ):
        with pytest.raises(AssertionError, match="behind the end"):
            send()
    peer.connection.resume()
    for send in (
        lambda: peer.connection.send_data(stream, b""),
        lambda: peer.connection.forward(stream, wire, 0, len(wire)),
        lambda: peer.connection.reset(stream, ErrorCode.CANCEL),
    ):
        with pytest.raises(AssertionError, match="on <Stream 1 CLOSED"):
            send()


def test_output_is_announced_once_until_it_is_taken() -> None:
    peer = RawPeer()
    stream, _ = answering(peer)
    peer.owner.outputs = 0
    for payload in (b"1", b"2"):
        peer.connection.send_data(stream, payload)
    assert peer.owner.outputs == 1
    peer.sent()
    peer.connection.send_data(stream, b"3")
    assert peer.owner.outputs == 2
