import pytest

from gateway.config import join_address, split_address


@pytest.mark.parametrize(
    ("address", "parts"), [("a:0", ("a", 0)), ("[::1]:80", ("::1", 80)), ("1.2.3.4:65535", ("1.2.3.4", 65535))]
)
def test_an_address_splits_and_joins(address: str, parts: tuple[str, int]) -> None:
    assert split_address(address) == parts
    assert join_address(*parts) == address


@pytest.mark.parametrize("address", ["", ":", "a", "a:", ":1", "::1", "a:b", "a:-1", "a:65536", "a:1 ", "a:٣"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"is not HOST:PORT|has no port"):
        split_address(address)
