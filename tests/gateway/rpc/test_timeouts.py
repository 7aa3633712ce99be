import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rpc.timeouts import format_timeout, parse_timeout

LONGEST_S = 99_999_999 * 3600


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"1H", 3600), (b"2M", 120), (b"10S", 10), (b"250m", 0.25), (b"3u", 3e-6), (b"7n", 7e-9), (b"0S", 0)],
)
def test_reads_every_unit(value: bytes, seconds: float) -> None:
    assert parse_timeout(value) == seconds


@pytest.mark.parametrize("value", [b"", b"S", b"1", b"1s", b"-1S", b"+1S", b" 1S", b"1.5S", b"123456789S", b"1SS"])
def test_malformed_timeouts_are_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="grpc-timeout"):
        parse_timeout(value)


@given(st.floats(0, LONGEST_S))
def test_nobody_is_told_to_give_up_before_the_agent_does(seconds: float) -> None:
    told = parse_timeout(format_timeout(seconds))
    assert told >= seconds * (1 - 1e-15)
    assert told <= seconds * (1 + 1e-4) + 1e-6


@given(st.integers(0, 99_999_999), st.sampled_from([b"H", b"M", b"S", b"m", b"u", b"n"]))
def test_a_gateway_behind_a_gateway_sees_no_shorter_timeout(count: int, unit: bytes) -> None:
    asked = parse_timeout(b"%d%b" % (count, unit))
    assert parse_timeout(format_timeout(asked)) >= asked


@given(st.floats(-1e12, 1e12))
def test_what_is_sent_is_always_a_positive_timeout(seconds: float) -> None:
    assert parse_timeout(format_timeout(seconds)) > 0
