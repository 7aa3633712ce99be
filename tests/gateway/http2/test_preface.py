import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http2 import frames
from gateway.http2.frames import ErrorCode
from gateway.http2.preface import Greeting, greeting
from tests.gateway.http2.raw_peer import RawPeer, goaway_codes, read_frames

HTTP1 = b"GET /index.html HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("data", "spoken"),
    [
        (frames.PREFACE + b"more", Greeting.HTTP2),
        (HTTP1, Greeting.HTTP1),
        (b"POST / HTTP/1.0\nhost: x\n", Greeting.HTTP1),
        (b"PRI / HTTP/1.1\r\n", Greeting.HTTP1),
        (b"\x16\x03\x01\x02\x00", Greeting.TLS),
        (b"\x16", Greeting.UNDECIDED),
        (b"\x16\x02", Greeting.FOREIGN),
        (b"PRI * HTTP/2.0\r\n\r\nXX", Greeting.FOREIGN),
        (b"GET / HTTP/2.0\r\n", Greeting.FOREIGN),
        (b"SSH-2.0-OpenSSH\r\n", Greeting.FOREIGN),
        (b"GET /" + b"x" * 10_000, Greeting.FOREIGN),
    ],
)
def test_a_peer_is_known_by_its_first_words(data: bytes, spoken: Greeting) -> None:
    assert greeting(data) is spoken


@given(st.sampled_from([frames.PREFACE, HTTP1]), st.data())
def test_an_incomplete_greeting_is_waited_for(whole: bytes, data: st.DataObject) -> None:
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert greeting(part) is Greeting.UNDECIDED


def test_a_server_says_nothing_before_it_knows_who_asks() -> None:
    peer = RawPeer(opening=b"")
    assert peer.sent() == []
    assert peer.send(frames.PREFACE[:10]) == []
    first = peer.send(frames.PREFACE[10:])[0]
    assert (first.kind, first.flags) == (frames.SETTINGS, 0)


def test_http_1_is_answered_in_http_1() -> None:
    peer = RawPeer(opening=b"")
    peer.connection.receive(HTTP1[:10])
    assert peer.connection.take_output() == []
    peer.connection.receive(HTTP1[10:] + b"host: x\r\n\r\n")
    assert peer.connection.take_output() == [b"HTTP/1.1 505 x\r\n\r\n"]
    assert peer.connection.is_finished


def test_anything_else_gets_goaway() -> None:
    peer = RawPeer(opening=b"")
    answer = peer.send(b"\x16\x03\x01\x02\x00")
    assert answer[0].kind == frames.SETTINGS
    assert goaway_codes(answer) == [ErrorCode.PROTOCOL_ERROR]
    assert peer.connection.is_finished


def test_a_client_begins_with_preface_and_settings() -> None:
    wire = b"".join(RawPeer(is_server=False, opening=b"").connection.take_output())
    assert wire.startswith(frames.PREFACE)
    assert next(read_frames(wire)).kind == frames.SETTINGS
