"""TLS over memory: two ends, whose sockets are lists."""

import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Limit
from gateway.relay import tls_records
from gateway.relay.tls_records import AT_ONCE, Records
from gateway.relay.tls_socket import Session
from gateway.tls.contexts import client_context, server_context
from gateway.tls.faults import Cause
from gateway.tls.material import AgentTls, ReplicaTls
from tests.gateway.relay.tls_ends import (
    AGENT_ID,
    CONTENT,
    End,
    Updating,
    authority,
    client,
    server,
    server_identity,
    stranger,
    talk,
)


def test_both_learn_who_the_other_is_and_what_was_agreed() -> None:
    one, other = client(), server()
    talk(one, other)
    assert one.above.session == Session("TLSv1.3", is_http2=True, spiffe_id="")
    assert other.above.session == Session("TLSv1.3", is_http2=True, spiffe_id=AGENT_ID)


def test_what_was_written_before_the_handshake_arrives_after_it() -> None:
    one, other = client(b"preface"), server(b"settings")
    talk(one, other)
    assert (one.above.data, other.above.data) == (b"settings", b"preface")
    one.above.transport.write(b" and more")
    talk(one, other)
    assert other.above.data == b"preface and more"


@given(st.lists(st.binary(min_size=1, max_size=40_000), max_size=5), st.integers(1, 5_000))
def test_bytes_arrive_as_they_were_written_however_the_network_cuts_them(pieces: list[bytes], size: int) -> None:
    one, other = client(b"first"), server()
    talk(one, other, size)
    for piece in pieces:
        one.above.transport.write(piece)
    talk(one, other, size)
    assert other.above.data == b"first" + b"".join(pieces)


def test_one_write_is_one_write_on_the_socket_and_one_read_above() -> None:
    one, other = client(), server()
    talk(one, other)
    reads: list[int] = []
    other.above.data_received = lambda data: reads.append(len(data))  # type: ignore[method-assign]
    one.above.transport.write(b"x" * 100_000)
    talk(one, other)
    assert reads == [100_000]


def test_a_goodbye_is_said_and_not_waited_for() -> None:
    one, other = client(), server()
    talk(one, other)
    one.above.transport.write(b"last words")
    one.above.transport.close()
    assert one.socket.is_closed
    talk(one, other)
    assert other.above.data == b"last words"
    assert (other.above.is_lost, other.above.fault) == (True, None)


def test_pauses_of_the_socket_are_those_of_the_connection() -> None:
    end = server()
    end.tls.pause_writing()
    end.tls.resume_writing()
    assert end.above.pauses == [True, False]


@pytest.mark.parametrize(
    ("make_client", "make_server", "at_client", "at_server"),
    [
        (
            lambda: client(context=client_context(ReplicaTls(authority.ca))),
            lambda: server(context=server_context(AgentTls(server_identity, authority.ca))),
            Cause.REFUSED,
            Cause.NO_CERTIFICATE,
        ),
        (
            lambda: client(context=client_context(ReplicaTls(authority.ca, stranger.issue(AGENT_ID)))),
            server,
            Cause.REFUSED,
            Cause.UNTRUSTED,
        ),
        (lambda: client(context=client_context(ReplicaTls(stranger.ca))), server, Cause.UNTRUSTED, Cause.REFUSED),
        (lambda: client(name="elsewhere"), server, Cause.UNTRUSTED, Cause.REFUSED),
    ],
)  # fmt: skip
def test_who_is_refused_is_told_why(
    make_client: Callable[[], End], make_server: Callable[[], End], at_client: Cause, at_server: Cause
) -> None:
    one, other = make_client(), make_server()
    talk(one, other)
    assert (one.cause, other.cause) == (at_client, at_server)


def test_a_version_that_is_not_safe_is_refused() -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.load_verify_locations(cadata=authority.ca)
    old.set_ciphers("AES256-SHA:@SECLEVEL=0")
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    one, other = client(context=old), server()
    talk(one, other)
    assert other.cause is Cause.NOTHING_IN_COMMON
    assert one.cause is Cause.REFUSED


def test_a_peer_that_does_not_agree_to_http2_is_known() -> None:
    silent = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    silent.load_verify_locations(cadata=authority.ca)
    one, other = client(context=silent), server()
    talk(one, other)
    assert other.above.session == Session("TLSv1.3", is_http2=False, spiffe_id="")


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 "),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/1.1 400 "),
        (b"SSH-2.0-x\r\n", b""),
    ],
)
def test_plain_text_is_told_to_use_tls(said: bytes, answer: bytes) -> None:
    end = server(b"settings")
    end.hear(said)
    assert end.socket.sent.startswith(answer)
    assert b"settings" not in end.socket.sent
    assert end.socket.is_closed
    end.lose()
    assert end.cause is Cause.PLAIN_TEXT


def test_a_replica_that_speaks_plain_text_is_told_apart() -> None:
    end = client()
    end.hear(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
    end.lose()
    assert end.cause is Cause.PLAIN_TEXT


def test_a_connection_that_ends_within_its_handshake_has_failed() -> None:
    one, other = client(), server()
    other.hear(one.take())
    other.lose()
    assert other.cause is Cause.CLOSED


def test_closing_within_the_handshake_closes_the_socket() -> None:
    end = server(b"settings")
    end.above.transport.close()
    assert (end.socket.is_closed, end.socket.sent) == (True, b"")
    end.above.transport.write(b"late")
    assert end.socket.sent == b""


@given(st.binary(min_size=1, max_size=300), st.booleans())
def test_garbage_ends_the_connection_and_nothing_else(garbage: bytes, is_open: bool) -> None:
    one, other = client(), server()
    if is_open:
        talk(one, other)
    one.take()
    other.hear(b"\x16\x03\x01" + garbage)
    other.lose()
    assert other.above.data == b""
    assert other.cause in (Cause.BROKEN, Cause.CLOSED, Cause.NOTHING_IN_COMMON, Cause.REFUSED, None)


def test_who_is_above_may_read_nothing_for_a_while() -> None:
    end = server()
    end.tls.pause_reading()
    assert not end.socket.reads
    end.tls.resume_reading()
    assert end.socket.reads


@pytest.fixture
def updating(tmp_path: Path) -> Updating:
    return Updating(tmp_path / "keys", server())


@pytest.mark.parametrize("is_answer_wanted", [False, True])
def test_a_flood_of_key_updates_ends_the_connection_soon_although_it_came_in_one_read(
    updating: Updating, is_answer_wanted: bool
) -> None:
    peer = updating.peer
    peer.hear(b"".join(updating.update(is_answer_wanted) for _ in range(1_000)))
    assert peer.socket.is_closed
    assert peer.above.limits == [Limit.TLS_EMPTY_RECORDS]
    # Two pieces of what had come, answered by records of 27 bytes, and a goodbye.
    assert len(peer.socket.sent) <= (2 * AT_ONCE + 1) * 27
    peer.lose()
    assert peer.cause is Cause.BROKEN


def test_pings_between_key_updates_do_not_make_them_less_of_a_flood(updating: Updating) -> None:
    flood = b"".join(updating.update() + updating.record(CONTENT, b"ping") for _ in range(100))
    updating.peer.hear(flood)
    assert updating.peer.above.limits == [Limit.TLS_EMPTY_RECORDS]


def test_content_earns_key_updates(updating: Updating, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls_records, "_EARNING_BYTES", 16_384)
    peer = updating.peer
    for _ in range(100):
        peer.hear(updating.update() + updating.record(CONTENT, bytes(16_384)))
    assert not peer.socket.is_closed
    assert len(peer.above.data) == 100 * 16_384
    for _ in range(32):
        peer.hear(updating.update())
    assert not peer.above.limits
    peer.hear(updating.update())
    assert peer.above.limits == [Limit.TLS_EMPTY_RECORDS]


@given(
    st.lists(st.integers(0, 400), max_size=80),
    st.lists(st.integers(1, 2_000), min_size=1, max_size=5),
    st.integers(0, 5),
)
def test_records_are_counted_however_the_network_cuts_them(sizes: list[int], cuts: list[int], rest: int) -> None:
    said = b"".join(bytes([CONTENT, 3, 3]) + size.to_bytes(2) + bytes(size) for size in sizes)
    said += bytes([CONTENT, 3, 3, 0, 9])[:rest]
    records, pieces, at = Records(), list[tuple[bytes, int]](), 0
    while at < len(said):
        cut = cuts[len(pieces) % len(cuts)]
        pieces += records.split(said[at : at + cut])
        at += cut
    # The beginning of a head waits for the rest of it.
    assert b"".join(piece for piece, _ in pieces) == said[: len(said) - rest % 5]
    assert sum(ended for _, ended in pieces) == len(sizes)
    assert all(ended <= AT_ONCE for _, ended in pieces)
