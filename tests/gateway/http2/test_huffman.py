"""Against the decoder and the coder of `hpack`."""

from collections.abc import Callable

import pytest
from hpack import HPACKError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman as oracle
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.http2.huffman import decode_huffman

encoder = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def outcome(decode: Callable[[bytes], bytes], string: bytes) -> bytes | None:
    try:
        return decode(string)
    except HPACKError:
        return None


@given(st.binary(max_size=200))
def test_what_is_encoded_is_decoded(symbols: bytes) -> None:
    assert decode_huffman(encoder.encode(symbols)) == symbols


def test_every_symbol_is_decoded_behind_every_other() -> None:
    symbols = bytes(second for first in range(256) for second in (first, *range(256)))

    assert decode_huffman(encoder.encode(symbols)) == symbols


@given(st.lists(st.one_of(st.binary(max_size=6), st.sampled_from([b"\xff", b"\xff\xff\xff", b"\x00"]))).map(b"".join))
@example(b"\x3f\xff\xff\xff")
@example(b"\xff\xff\xff\xff\x00\x00")
def test_any_bytes_mean_the_same_as_to_the_oracle(string: bytes) -> None:
    assert outcome(decode_huffman, string) == outcome(oracle, string)


@pytest.mark.parametrize(
    "string",
    [
        pytest.param(b"\x49\x50\x9f\xff", id="padding of more than 7 bits"),
        pytest.param(b"\x49\x50\x90", id="padding of zeros"),
        pytest.param(b"\x49\x51\xff\xff\xff\xfa\x7f", id="EOS in the middle"),
    ],
)
def test_strings_that_the_rfc_forbids_are_refused(string: bytes) -> None:
    with pytest.raises(HPACKError):
        decode_huffman(string)
