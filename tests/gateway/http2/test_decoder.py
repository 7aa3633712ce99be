import re

import hpack
import pytest
from hpack.struct import NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Limit
from gateway.http2.codec import EMPTY_TABLE, BlockCache, HeaderEncoder
from gateway.http2.decoder import HeaderDecoder
from gateway.http2.frames import ConnectionFault, ErrorCode
from gateway.http2.headers import Field, SecretName

NAMES = st.sampled_from([b":path", b":status", b"accept", b"authorization", b"x"]) | st.binary(min_size=1, max_size=200)
VALUES = st.sampled_from([b"/", b"200", b"gzip, deflate", b""]) | st.binary(max_size=300)
FIELD_LISTS = st.lists(st.tuples(NAMES, VALUES), max_size=5)
LIMIT = 64 * 1024
too_many_updates = re.compile(rb"(?:[\x20-\x3e]|\x3f[\x80-\xff]*[\x00-\x7f]){3}").match
# Shorter than random bytes to the places where representations differ.
PIECES = st.sampled_from(
    [
        b"\x82",
        b"\xbe",
        b"\xbf",
        b"\x40\x01a\x01b",
        b"\x00\x01a\x82\x1c\x64",
        b"\x10\x81\x1f\x00",
        b"\x7e\x00",
        b"\x0f\x2f",
    ]
    + [b"\x20", b"\x3f\xe1\x1f", b"\x3f\x01", b"\x40\x7f\x01", b"\x50\x03xyz", b"\x61\x02hi"]
)


def decoder(cache: BlockCache | None = None, limit: int = LIMIT) -> HeaderDecoder:
    return HeaderDecoder(cache or BlockCache(), limit)


def stateless(cache: BlockCache | None = None) -> HeaderDecoder:
    made = decoder(cache)
    made.forbid_table()
    made.decode(EMPTY_TABLE)
    return made


def fault_of(block: bytes, made: HeaderDecoder) -> ErrorCode:
    with pytest.raises(ConnectionFault) as fault:
        made.decode(block)
    return fault.value.code


@given(st.lists(FIELD_LISTS, max_size=3))
def test_we_decode_what_another_library_encodes_with_a_table(lists: list[list[Field]]) -> None:
    peer, ours = hpack.Encoder(), decoder()
    for fields in lists:
        assert ours.decode(peer.encode(fields)) == fields


@given(st.lists(FIELD_LISTS, min_size=2, max_size=4), st.integers(0, 3))
def test_the_table_goes_when_the_peer_has_acknowledged(lists: list[list[Field]], obeys_from: int) -> None:
    peer, ours = hpack.Encoder(), decoder()
    for position, fields in enumerate(lists):
        if position == obeys_from:
            peer.header_table_size = 0
            ours.forbid_table()
        assert ours.decode(peer.encode(fields)) == fields


@given(st.lists(st.lists(PIECES | st.binary(max_size=6), max_size=6).map(b"".join), max_size=4))
def test_any_blocks_mean_what_they_mean_to_another_library(blocks: list[bytes]) -> None:
    theirs, ours = hpack.Decoder(max_header_list_size=LIMIT), decoder()
    for block in blocks:
        try:
            expected = list(theirs.decode(block, raw=True))
        except hpack.HPACKError:
            assert fault_of(block, ours) is ErrorCode.COMPRESSION_ERROR
            return
        if too_many_updates(block):
            assert fault_of(block, ours) is ErrorCode.COMPRESSION_ERROR
            return
        fields = ours.decode(block)
        assert fields == expected
        assert [isinstance(f[0], SecretName) for f in fields] == [
            isinstance(f, NeverIndexedHeaderTuple) for f in expected
        ]


def test_the_table_evicts_as_another_library_s() -> None:
    peer, ours = hpack.Encoder(), decoder()
    for number in range(300):
        fields = [(b"name-%d" % (number % 90), b"x" * (number % 90)), (b"name-%d" % (number // 2), b"y")]
        assert ours.decode(peer.encode(fields)) == fields


def test_a_block_met_again_is_not_decoded_again() -> None:
    cache = BlockCache()
    block = HeaderEncoder().encode([(b"a", b"1")])
    fields = stateless(cache).decode(block)
    assert stateless(cache).decode(block) is fields


def test_while_the_peer_may_have_a_table_nothing_is_cached() -> None:
    cache = BlockCache()
    decoder(cache).decode(HeaderEncoder().encode([(b"a", b"1")]))
    assert not cache.blocks


def test_a_peer_that_keeps_its_table_is_out_of_step() -> None:
    peer, ours = hpack.Encoder(), decoder()
    ours.decode(peer.encode([(b"a", b"1")]))
    ours.forbid_table()
    assert fault_of(peer.encode([(b"a", b"1")]), ours) is ErrorCode.COMPRESSION_ERROR


def test_a_peer_need_not_say_that_it_has_no_entries_any_more() -> None:
    ours = decoder()
    added = b"\x40\x01a\x011"
    assert ours.decode(added) == [(b"a", b"1")]
    ours.forbid_table()
    assert ours.decode(added) == ours.decode(added) == [(b"a", b"1")]
    assert fault_of(b"\xbe", ours) is ErrorCode.COMPRESSION_ERROR


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xbf",  # beyond the tables
        b"\x7f\xff\xff\xff\xff\xff\xff\x0f",  # an integer without end
        b"\x40\x01a\x05bc",  # cut short
        b"\x40",  # cut short earlier
        b"\x82\x20",  # an update behind a field
        b"\x3f\xe2\x1f",  # an update above 4,096
        b"\x20\x20\x20",  # one update too many
        b"\x00\x84\xff\xff\xff\xff\x00",  # the end-of-string code, decoded
        b"\x00\x82\x1f\xff\x00",  # Huffman padding of more than 7 bits
        b"\x00\x81\x18\x00",  # Huffman padding of zeros
    ],
)
def test_what_is_no_hpack_ends_the_connection(block: bytes) -> None:
    assert fault_of(block, decoder()) is ErrorCode.COMPRESSION_ERROR


def test_a_list_that_inflates_beyond_the_limit_ends_the_connection() -> None:
    peer, ours = hpack.Encoder(), decoder(limit=10_000)
    ours.decode(peer.encode([(b"a", b"x" * 1_000)]))
    assert fault_of(peer.encode([(b"a", b"x" * 1_000)] * 20), ours) is ErrorCode.ENHANCE_YOUR_CALM


@given(st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=5))
def test_a_list_of_exactly_the_limit_is_decoded_and_one_of_a_byte_more_is_not(fields: list[Field]) -> None:
    list_bytes = sum(len(name) + len(value) + 32 for name, value in fields)
    for makes_table in (True, False):
        peer, exact, tight = hpack.Encoder(), decoder(limit=list_bytes), decoder(limit=list_bytes - 1)
        blocks = [peer.encode(fields), peer.encode(fields)] if makes_table else [HeaderEncoder().encode(fields)]
        for block in blocks:
            decoded = exact.decode(block)
            assert (decoded, decoded.list_bytes) == (fields, list_bytes)
        with pytest.raises(ConnectionFault) as fault:
            tight.decode(blocks[0])
        assert (fault.value.code, fault.value.limit) == (ErrorCode.ENHANCE_YOUR_CALM, Limit.HEADER_BYTES_HARD)
