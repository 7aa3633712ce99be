import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rpc.metadata import decode_binary, encode_binary


@given(st.binary())
def test_binary_values_survive_with_padding_and_without(value: bytes) -> None:
    encoded = encode_binary(value)
    assert b"=" not in encoded
    assert decode_binary(encoded) == value
    assert decode_binary(encoded + b"=" * (-len(encoded) % 4)) == value


@pytest.mark.parametrize("value", [b"*", b"a", b"ab c", b"YQ==YQ=="])
def test_what_is_not_base64_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode_binary(value)
