import hpack
import pytest
from hpack.struct import HeaderTuple, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from gateway.http2.frames import ConnectionFault, ErrorCode
from gateway.http2.headers import EMPTY_TABLE, BlockCache, Field, HeaderDecoder, HeaderEncoder, list_bytes

NAMES = st.sampled_from([b":path", b":status", b"accept", b"authorization", b"x"]) | st.binary(min_size=1, max_size=200)
VALUES = st.sampled_from([b"/", b"200", b"gzip, deflate", b""]) | st.binary(max_size=300)
FIELD_LISTS = st.lists(st.tuples(NAMES, VALUES), max_size=5)
LIMIT = 64 * 1024


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
def test_another_library_decodes_what_we_encode(lists: list[list[Field]]) -> None:
    encoder, peer = HeaderEncoder(), hpack.Decoder(max_header_list_size=LIMIT)
    for fields in lists:
        assert peer.decode(encoder.encode(fields), raw=True) == fields
    assert not peer.header_table.dynamic_entries


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


def test_what_is_secret_stays_so_on_the_next_hop() -> None:
    fields = [(b"authorization", b"Bearer x"), NeverIndexedHeaderTuple(b"key", b"1"), (b"key", b"2")]
    seen = hpack.Decoder().decode(HeaderEncoder().encode(fields), raw=True)
    assert [type(field) for field in seen] == [NeverIndexedHeaderTuple, NeverIndexedHeaderTuple, HeaderTuple]


def test_a_block_met_again_is_not_decoded_again() -> None:
    cache = BlockCache()
    block = HeaderEncoder().encode([(b"a", b"1")])
    fields = stateless(cache).decode(block)
    assert stateless(cache).decode(block) is fields


def test_while_the_peer_may_have_a_table_nothing_is_cached() -> None:
    cache = BlockCache()
    block = HeaderEncoder().encode([(b"a", b"1")])
    decoder(cache).decode(block)
    assert not cache.blocks


@pytest.mark.parametrize("field", [NeverIndexedHeaderTuple(b"key", b"1"), (b"authorization", b"x"), (b"cookie", b"x")])
def test_secrets_are_not_cached(field: Field) -> None:
    cache = BlockCache()
    stateless(cache).decode(HeaderEncoder().encode([(b"a", b"1"), field]))
    assert list(cache.blocks) == [EMPTY_TABLE] or not cache.blocks


def test_the_cache_is_bounded() -> None:
    cache = BlockCache()
    ours, encoder = stateless(cache), HeaderEncoder()
    for i in range(1_100):
        ours.decode(encoder.encode([(b"request-id", b"%d" % i)]))
    ours.decode(encoder.encode([(b"long", bytes(10_000))]))
    assert 0 < len(cache.blocks) <= 1_024
    assert max(map(len, cache.blocks)) <= 512


def test_a_peer_that_keeps_its_table_is_out_of_step() -> None:
    peer, ours = hpack.Encoder(), decoder()
    ours.decode(peer.encode([(b"a", b"1")]))
    ours.forbid_table()
    assert fault_of(peer.encode([(b"a", b"1")]), ours) is ErrorCode.COMPRESSION_ERROR


def test_a_peer_without_entries_need_not_say_that_it_has_none() -> None:
    ours = decoder()
    ours.forbid_table()
    assert ours.decode(hpack.Encoder().encode([(b"a", b"1")])) == [(b"a", b"1")]


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # index 0
        b"\xbf",  # beyond the tables
        b"\x7f\xff\xff\xff\xff\xff\xff\x0f",  # an integer without end
        b"\x40\x01a\x05bc",  # cut short
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


@given(st.binary(max_size=200))
def test_any_bytes_are_fields_or_a_fault(block: bytes) -> None:
    for ours in (decoder(), stateless()):
        try:
            fields = ours.decode(block)
        except ConnectionFault:
            continue
        assert all(type(name) is bytes and type(value) is bytes for name, value in fields)


def test_a_list_is_counted_as_the_peer_counts_it() -> None:
    assert list_bytes([(b"ab", b"c"), (b"", b"")]) == 3 + 2 * 32
