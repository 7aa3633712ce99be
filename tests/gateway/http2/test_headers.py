import hpack
import pytest
from hpack.struct import HeaderTuple, NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from gateway.http2.codec import BlockCache, HeaderEncoder
from gateway.http2.decoder import HeaderDecoder
from gateway.http2.headers import Field, FieldList, SecretName
from tests.gateway.http2.test_decoder import FIELD_LISTS, LIMIT


@given(st.lists(FIELD_LISTS, max_size=3))
def test_another_library_decodes_what_we_encode(lists: list[list[Field]]) -> None:
    encoder, peer = HeaderEncoder(), hpack.Decoder(max_header_list_size=LIMIT)
    for fields in lists:
        assert peer.decode(encoder.encode(fields), raw=True) == fields
    assert not peer.header_table.dynamic_entries


def test_what_is_secret_stays_so_on_the_next_hop() -> None:
    fields = [
        (b"authorization", b"Bearer x"),
        (SecretName(b"key"), b"1"),
        (b"key", b"2"),
        (SecretName(b":path"), b"/"),
    ]
    seen = hpack.Decoder().decode(HeaderEncoder().encode(fields), raw=True)
    never = NeverIndexedHeaderTuple
    assert [type(field) for field in seen] == [never, never, HeaderTuple, never]


def test_common_fields_are_one_byte() -> None:
    assert HeaderEncoder().encode([(b":method", b"POST"), (b":status", b"200")]) == b"\x83\x88"


@pytest.mark.parametrize("size", [0, 126, 127, 254, 255, 16_511, 16_512])
def test_lengths_at_their_edges(size: int) -> None:
    fields = [(b"x" * size or b"y", b"v" * size)]
    assert hpack.Decoder().decode(HeaderEncoder().encode(fields), raw=True) == fields


def test_the_encoder_s_names_are_bounded() -> None:
    encoder = HeaderEncoder()
    for number in range(2_000):
        encoder.encode([(b"x-%d" % number, b"")])
    assert len(encoder._openings) <= 1_024  # pyright: ignore[reportPrivateUsage]


def test_the_cache_keeps_no_long_blocks_and_no_secrets() -> None:
    cache = BlockCache()
    cache.keep(bytes(513), FieldList([(b"a", b"1")]))
    cache.keep(b"1", FieldList([(b"a", b"1"), (b"cookie", b"x")]))
    cache.keep(b"2", FieldList([(b"a", b"1"), (SecretName(b"key"), b"x")]))
    assert not cache.blocks


def test_the_cache_is_bounded() -> None:
    cache = BlockCache()
    for number in range(3_000):
        cache.keep(b"%d" % number, FieldList())
        cache.huffman(hpack.Encoder().huffman_coder.encode(b"%d" % number))
    assert 0 < len(cache.blocks) <= 1_024
    assert 0 < len(cache._strings) <= 1_024  # pyright: ignore[reportPrivateUsage]


def test_a_list_is_counted_as_the_peer_counts_it() -> None:
    block = HeaderEncoder().encode([(b"ab", b"c"), (b"", b"")])
    assert HeaderDecoder(BlockCache(), LIMIT).decode(block).list_bytes == 3 + 2 * 32


def test_a_decoded_list_is_encoded_once() -> None:
    encoder, fields = HeaderEncoder(), FieldList([(b"key", b"1"), (b"cookie", b"2")])
    assert encoder.encode(fields) == encoder.encode(list(fields))
    assert encoder.encode(fields) is encoder.encode(fields)
