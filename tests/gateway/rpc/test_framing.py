import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Failure, Reason
from gateway.rpc.framing import MalformedFraming, WholeMessages, inflate, message_end, prefixed

MESSAGES = st.lists(st.binary(max_size=60), max_size=8)
HOLD_BYTES = 40


@given(MESSAGES, st.data())
def test_the_bytes_that_leave_are_the_bytes_that_came_however_they_are_cut(
    messages: list[bytes], data: st.DataObject
) -> None:
    whole = WholeMessages(HOLD_BYTES)
    wire = b"".join(map(prefixed, messages))
    left = b"".join(whole.feed(piece) for piece in cut(wire, data))
    assert left == wire
    assert whole.messages == len(messages)
    assert whole.is_at_boundary
    assert whole.held_bytes == 0


@given(st.lists(st.binary(max_size=HOLD_BYTES - 5), max_size=8), st.data())
def test_up_to_the_limit_only_whole_messages_leave(messages: list[bytes], data: st.DataObject) -> None:
    whole = WholeMessages(HOLD_BYTES)
    ends = ends_of(messages)
    left = 0
    for piece in cut(b"".join(map(prefixed, messages)), data):
        left += len(whole.feed(piece))
        assert left in ends
        assert whole.messages == ends.index(left)
        assert whole.is_at_boundary == (whole.held_bytes == 0)


@given(MESSAGES, st.data())
def test_no_more_than_the_limit_is_held(messages: list[bytes], data: st.DataObject) -> None:
    whole = WholeMessages(HOLD_BYTES)
    ends = ends_of(messages)
    left = 0
    for piece in cut(b"".join(map(prefixed, messages)), data):
        left += len(whole.feed(piece))
        assert whole.held_bytes <= HOLD_BYTES
        assert whole.is_at_boundary == (left in ends and whole.held_bytes == 0)


def test_a_longer_message_passes_in_pieces_and_the_next_one_whole() -> None:
    whole = WholeMessages(HOLD_BYTES)
    long, short = prefixed(b"x" * 100), prefixed(b"y")
    assert whole.feed(long[:20]) == long[:20]
    assert not whole.is_at_boundary
    assert whole.feed(long[20:] + short[:3]) == long[20:]
    assert whole.feed(short[3:]) == short
    assert whole.messages == 2


@pytest.mark.parametrize("before", [b"", prefixed(b"good")])
def test_a_flag_that_is_neither_0_nor_1_is_no_message(before: bytes) -> None:
    with pytest.raises(MalformedFraming):
        WholeMessages(HOLD_BYTES).feed(before + b"\x02\x00\x00\x00\x01x")


def test_a_message_ends_where_its_prefix_says() -> None:
    data = b"skipped" + prefixed(b"message") + b"rest"
    assert message_end(data, 7) == 7 + 5 + 7
    assert message_end(data[:11], 7) is None


COMPRESS = {b"gzip": gzip.compress, b"deflate": zlib.compress}


@pytest.mark.parametrize("encoding", COMPRESS)
@given(message=st.binary(max_size=300))
def test_inflates_what_was_compressed(encoding: bytes, message: bytes) -> None:
    assert inflate(COMPRESS[encoding](message), encoding, 300) == message


@pytest.mark.parametrize("encoding", COMPRESS)
def test_a_bomb_is_refused_at_the_limit(encoding: bytes) -> None:
    bomb = COMPRESS[encoding](bytes(50_000_000))
    assert reason_of(bomb, encoding) is Reason.MESSAGE_TOO_LARGE


@pytest.mark.parametrize(
    ("message", "encoding", "reason"),
    [
        (b"not gzip", b"gzip", Reason.INVALID_REQUEST),
        (gzip.compress(b"cut short", mtime=0)[:-4], b"gzip", Reason.INVALID_REQUEST),
        (zlib.compress(b"x")[:-1], b"deflate", Reason.INVALID_REQUEST),
        (b"x", b"snappy", Reason.ENCODING_NOT_SUPPORTED),
        (b"x", b"", Reason.INVALID_REQUEST),
        (b"x", b"identity", Reason.INVALID_REQUEST),
    ],
)
def test_what_cannot_be_inflated_is_refused(message: bytes, encoding: bytes, reason: Reason) -> None:
    assert reason_of(message, encoding) is reason


def reason_of(message: bytes, encoding: bytes) -> Reason:
    with pytest.raises(Failure) as failed:
        inflate(message, encoding, 1_000)
    return failed.value.reason


def cut(wire: bytes, data: st.DataObject) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=10)))
    return [wire[start:end] for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]


def ends_of(messages: list[bytes]) -> list[int]:
    ends = [0]
    for message in messages:
        ends.append(ends[-1] + 5 + len(message))
    return ends
