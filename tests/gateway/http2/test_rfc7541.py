"""RFC 7541 on the wire, section by section. Header blocks are written byte by byte."""

# ruff: noqa: E501 - one case a line is a table

import pytest

from gateway.http2.frames import ErrorCode
from tests.gateway.http2.cases import Case, ends, parametrized, run
from tests.gateway.http2.raw_peer import PREFACE_SETTINGS, SETTINGS_ACK, RawPeer, block, raw_headers

REQUEST = block([(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/")])
COMPRESSION_ERROR = ends(ErrorCode.COMPRESSION_ERROR)

# What a field is encoded as, and what it says.
REPRESENTATIONS = {
    "6.1 indexed": (b"\x90", (b"accept-encoding", b"gzip, deflate")),
    "6.2.1 with indexing, indexed name": (b"\x7a\x04test", (b"user-agent", b"test")),
    "6.2.1 with indexing, indexed name, Huffman": (b"\x7a\x83\x49\x50\x9f", (b"user-agent", b"test")),
    "6.2.1 with indexing, new name": (b"\x40\x06x-test\x04test", (b"x-test", b"test")),
    "6.2.1 with indexing, new name, Huffman": (b"\x40\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x9f", (b"x-test", b"test")),
    "6.2.2 without indexing, indexed name": (b"\x0f\x2b\x04test", (b"user-agent", b"test")),
    "6.2.2 without indexing, indexed name, Huffman": (b"\x0f\x2b\x83\x49\x50\x9f", (b"user-agent", b"test")),
    "6.2.2 without indexing, new name": (b"\x00\x06x-test\x04test", (b"x-test", b"test")),
    "6.2.2 without indexing, new name, Huffman": (
        b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x9f",
        (b"x-test", b"test"),
    ),
    "6.2.3 never indexed, indexed name": (b"\x1f\x2b\x04test", (b"user-agent", b"test")),
    "6.2.3 never indexed, indexed name, Huffman": (b"\x1f\x2b\x83\x49\x50\x9f", (b"user-agent", b"test")),
    "6.2.3 never indexed, new name": (b"\x10\x06x-test\x04test", (b"x-test", b"test")),
    "6.2.3 never indexed, new name, Huffman": (b"\x10\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x9f", (b"x-test", b"test")),
}

CASES = [
    Case("2.3.3", "an index beyond the tables", [raw_headers(REQUEST + b"\xc6")], COMPRESSION_ERROR),
    Case("2.3.3", "a name's index beyond the tables", [raw_headers(REQUEST + b"\x7f\x07\x05empty")], COMPRESSION_ERROR),
    Case("4.2", "a size update at the end of a block", [raw_headers(REQUEST + b"\x20")], COMPRESSION_ERROR),
    Case("4.2", "three size updates", [raw_headers(b"\x20\x20\x20" + REQUEST)], COMPRESSION_ERROR),
    Case("5.1", "an integer without end", [raw_headers(REQUEST + b"\xff" + b"\x80" * 20)], COMPRESSION_ERROR),
    Case("5.2", "a string longer than the block", [raw_headers(REQUEST + b"\x40\x06x-test\x7f\x04test")], COMPRESSION_ERROR),
    Case("5.2", "Huffman padding of more than 7 bits", [raw_headers(REQUEST + b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")], COMPRESSION_ERROR),
    Case("5.2", "Huffman padding of zeros", [raw_headers(REQUEST + b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")], COMPRESSION_ERROR),
    Case("5.2", "the end-of-string symbol", [raw_headers(REQUEST + b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f")], COMPRESSION_ERROR),
    Case("6.1", "index 0", [raw_headers(REQUEST + b"\x80")], COMPRESSION_ERROR),
    Case("6.3", "a size update above what we have announced", [raw_headers(b"\x3f\x01" + REQUEST)], COMPRESSION_ERROR),
]  # fmt: skip


@parametrized(CASES)
def test_what_is_no_hpack(case: Case) -> None:
    run(case, RawPeer())


@pytest.mark.parametrize("representation", REPRESENTATIONS)
@pytest.mark.parametrize("opening", [PREFACE_SETTINGS, PREFACE_SETTINGS + SETTINGS_ACK], ids=["early", "acknowledged"])
def test_every_representation_is_read(representation: str, opening: bytes) -> None:
    wire, field = REPRESENTATIONS[representation]
    peer = RawPeer(opening=opening)
    peer.send(raw_headers(REQUEST + wire))
    (_, fields, _) = peer.owner.requests[0]
    assert fields[-1] == field


def test_4_2_size_updates_within_the_protocol_s_own_limit_before_the_peer_knows_ours() -> None:
    peer = RawPeer(opening=PREFACE_SETTINGS)
    peer.send(raw_headers(b"\x3f\x61\x3f\xe1\x1f" + REQUEST + b"\x40\x01a\x01b"))
    peer.send(raw_headers(REQUEST + b"\xbe", 3))
    assert peer.owner.requests[1][1][-1] == (b"a", b"b")


def test_4_2_size_updates_to_0_whenever_the_peer_likes() -> None:
    peer = RawPeer()
    peer.send(raw_headers(b"\x20" + REQUEST), raw_headers(b"\x20\x20" + REQUEST, 3))
    assert len(peer.owner.requests) == 2


def test_4_2_the_table_goes_with_the_acknowledgement() -> None:
    peer = RawPeer(opening=PREFACE_SETTINGS)
    peer.send(raw_headers(REQUEST + b"\x40\x01a\x01b"), SETTINGS_ACK)
    peer.send(raw_headers(REQUEST, 3))
    assert peer.connection.fault is None
    peer.send(raw_headers(REQUEST + b"\xbe", 5))
    assert peer.connection.fault is not None
    assert peer.connection.fault.code is ErrorCode.COMPRESSION_ERROR


def test_7_1_3_what_is_never_indexed_is_passed_on_so() -> None:
    peer = RawPeer()
    peer.send(raw_headers(REQUEST + REPRESENTATIONS["6.2.3 never indexed, new name"][0]))
    fields = peer.owner.requests[0][1]
    assert block(fields).endswith(b"\x10\x06x-test\x04test")
