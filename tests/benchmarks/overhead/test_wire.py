"""Prebuilt header blocks mean what they should, for a peer that decodes them one after another."""

from collections.abc import Sequence

from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.overhead.wire import HeaderBlocks

RESPONSE = ((b":status", b"200"), (b"content-type", b"application/grpc"))
TRAILERS = ((b"grpc-status", b"0"),)
REQUEST = ((b":path", b"/a.B/C"), (b"te", b"trailers"))


@given(st.lists(st.sampled_from([RESPONSE, TRAILERS, REQUEST]), min_size=1, max_size=30))
def test_blocks_in_any_order_are_read_as_they_were_meant(order: Sequence[tuple[tuple[bytes, bytes], ...]]) -> None:
    blocks, decoder = HeaderBlocks(), Decoder()
    for fields in order:
        assert [tuple(field) for field in decoder.decode(blocks.encode(fields), raw=True)] == list(fields)


def test_a_block_is_built_once() -> None:
    blocks = HeaderBlocks()
    blocks.encode(RESPONSE)  # enters the table
    blocks.encode(TRAILERS)  # moves what is in it
    known = blocks.encode(RESPONSE)
    assert blocks.encode(RESPONSE) is known
    assert len(known) == 2


def test_a_peer_without_a_table_is_told_so_and_gets_literals() -> None:
    blocks, decoder = HeaderBlocks(), Decoder()
    blocks.encode(RESPONSE)
    blocks.resize(0)
    decoder.max_allowed_table_size = 0
    first = blocks.encode(RESPONSE)
    assert first[0] == 0x20  # a size update to 0 (RFC 7541, 6.3)
    decoder.decode(first)
    for _ in range(3):
        assert [tuple(field) for field in decoder.decode(blocks.encode(TRAILERS), raw=True)] == list(TRAILERS)
