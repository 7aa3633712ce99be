import pytest
from hyperframe.frame import Frame as HyperFrame
from hypothesis import given
from hypothesis import strategies as st

from gateway.http2 import frames
from gateway.http2.frames import ConnectionFault, ErrorCode, Setting
from tests.gateway.http2.raw_peer import read_frames

STREAM_IDS = st.integers(1, frames.MAX_STREAM_ID)


def parsed(wire: bytes) -> HyperFrame:
    found, length = HyperFrame.parse_frame_header(memoryview(wire[:9]))
    found.parse_body(memoryview(wire[9:]))
    assert len(wire) == 9 + length
    return found


@given(st.integers(0, 255), STREAM_IDS, st.binary(max_size=300))
def test_a_frame_is_its_header_and_its_payload(flags: int, stream_id: int, payload: bytes) -> None:
    wire = frames.frame(frames.DATA, flags, stream_id, payload)
    assert frames.read_head(wire, 0) == (len(payload) << 8 | frames.DATA, flags, stream_id)
    assert wire[9:] == payload


def test_another_library_reads_the_same() -> None:
    assert (
        repr(parsed(frames.window_update(3, 70_000)))
        == "WindowUpdateFrame(stream_id=3, flags=[]): window_increment=70000"
    )
    assert "error_code=8" in repr(parsed(frames.rst_stream(5, ErrorCode.CANCEL)))
    assert "last_stream_id=7, error_code=11, additional_data=b'calm'" in repr(
        parsed(frames.goaway(7, ErrorCode.ENHANCE_YOUR_CALM, b"calm"))
    )
    assert "4: 70000" in repr(parsed(frames.settings([(Setting.INITIAL_WINDOW_SIZE, 70_000)])))


@given(st.binary(max_size=3 * frames.MAX_FRAME_BYTES), STREAM_IDS, st.booleans())
def test_a_header_block_of_any_size_arrives_whole(block: bytes, stream_id: int, end_stream: bool) -> None:
    found = list(read_frames(frames.header_block(stream_id, block, end_stream=end_stream)))
    assert b"".join(f.payload for f in found) == block
    assert {f.stream_id for f in found} == {stream_id}
    assert [f.kind for f in found] == [frames.HEADERS] + [frames.CONTINUATION] * (len(found) - 1)
    assert [bool(f.flags & frames.END_HEADERS) for f in found] == [False] * (len(found) - 1) + [True]
    assert [bool(f.flags & frames.END_STREAM) for f in found] == [end_stream] + [False] * (len(found) - 1)
    assert max(len(f.payload) for f in found) <= frames.MAX_FRAME_BYTES


@given(st.binary(max_size=100), st.integers(0, 255))
def test_padding_is_taken_off(content: bytes, padding: int) -> None:
    assert frames.unpadded(frames.PADDED, bytes((padding,)) + content + bytes(padding)) == content
    assert frames.unpadded(0, content) == content


@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"", ErrorCode.FRAME_SIZE_ERROR), (b"\x01", ErrorCode.PROTOCOL_ERROR), (b"\x03ab", ErrorCode.PROTOCOL_ERROR)],
)
def test_padding_that_does_not_fit_ends_the_connection(payload: bytes, code: ErrorCode) -> None:
    with pytest.raises(ConnectionFault) as fault:
        frames.unpadded(frames.PADDED, payload)
    assert fault.value.code is code


def test_a_stream_id_has_no_reserved_bit() -> None:
    assert frames.read_stream_id(b"\x80\x00\x00\x05") == 5
