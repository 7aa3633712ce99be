"""Whatever bytes arrive: `receive` never raises, memory stays bounded, and how they were cut makes no difference."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.http2 import frames
from gateway.http2.limits import Limits
from tests.gateway.http2.raw_peer import (
    ALL,
    PREFACE_SETTINGS,
    REQUEST,
    RESPONSE,
    SETTINGS_ACK,
    TRAILERS,
    Frame,
    RawPeer,
    continuation,
    data,
    headers,
    ping,
    priority,
    window,
)

LIMITS = Limits(streams=4, stream_window_bytes=65_535, connection_window_bytes=2**20, header_list_max_bytes=20_000)
STREAM_IDS = st.sampled_from([0, 1, 2, 3, 5, 7, 9, 11, frames.MAX_STREAM_ID])

MESSAGES = (RESPONSE, TRAILERS)
PAYLOADS = (b"", bytes(16_384))
SENSIBLE = st.sampled_from(
    [
        *[headers(stream_id, REQUEST, flags) for stream_id in (1, 3, 5, 7, 9) for flags in (0, 4, ALL)],
        *[headers(stream_id, fields, flags) for stream_id in (1, 3) for fields in MESSAGES for flags in (4, ALL)],
        *[data(stream_id, payload, flags) for stream_id in (1, 3) for payload in PAYLOADS for flags in (0, 1)],
        *[frames.rst_stream(stream_id, 8) for stream_id in (1, 3, 5)],
        *[frames.window_update(stream_id, size) for stream_id in (0, 1, 3) for size in (0, 100, 2**31 - 1)],
        continuation(b""),
        SETTINGS_ACK,
        window(0),
        window(100_000),
        ping(),
        priority(),
        frames.goaway(0, 0),
        frames.goaway(1, 0),
    ]
)  # fmt: skip
NONSENSE = st.builds(frames.frame, st.integers(0, 12), st.integers(0, 255), STREAM_IDS, st.binary(max_size=40))
WIRES = st.lists(SENSIBLE | NONSENSE | st.binary(max_size=20), max_size=15).map(b"".join)


def peer_with_streams(*, is_server: bool) -> RawPeer:
    peer = RawPeer(is_server=is_server, limits=LIMITS)
    for number in range(2):
        if is_server:
            peer.request(1 + 2 * number)
        else:
            peer.open()
    peer.sent()
    return peer


def received(peer: RawPeer) -> list[object]:
    told: list[object] = [tuple(fields) for _, fields, _ in peer.owner.requests]
    for stream, _, _ in peer.owner.requests:
        told.append(getattr(stream.receiver, "content", None))
    return [*told, peer.connection.fault and (peer.connection.fault.code, peer.connection.fault.message)]


@given(wire=WIRES, is_server=st.booleans())
def test_nothing_makes_it_raise_or_grow(wire: bytes, is_server: bool) -> None:
    peer = peer_with_streams(is_server=is_server)
    answer = peer.send(wire)
    connection = peer.connection
    assert len(connection.streams) <= LIMITS.streams
    assert len(connection._rest) < frames.MAX_FRAME_BYTES + frames.HEADER_BYTES  # pyright: ignore[reportPrivateUsage]
    assert sum(9 + len(frame.payload) for frame in answer) <= 2 * len(wire) + 1_000
    assert all(isinstance(frame, Frame) for frame in answer)


@given(wire=WIRES, is_server=st.booleans(), data=st.data())
def test_how_bytes_are_cut_makes_no_difference(wire: bytes, is_server: bool, data: st.DataObject) -> None:
    whole, cut = peer_with_streams(is_server=is_server), peer_with_streams(is_server=is_server)
    answer = whole.send(wire)
    step = data.draw(st.sampled_from([1, 2, 8, 9, 10, 1_000]))
    pieces = [frame for start in range(0, len(wire), step) for frame in cut.send(wire[start : start + step])]
    assert received(cut) == received(whole)
    assert without_credit(pieces) == without_credit(answer)


@given(st.binary(max_size=60), st.booleans())
def test_a_connection_may_begin_with_anything(opening: bytes, is_server: bool) -> None:
    RawPeer(is_server=is_server, opening=b"").connection.receive(opening)


@given(st.data())
def test_a_conversation_with_a_few_bytes_changed(data: st.DataObject) -> None:
    wire = bytearray(PREFACE_SETTINGS + SETTINGS_ACK + headers() + data_frames() + headers(3, REQUEST, ALL) + ping())
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    peer = RawPeer(opening=b"")
    peer.connection.receive(bytes(wire))
    assert len(peer.connection.streams) <= 2


def data_frames() -> bytes:
    return data(payload=b"first") + data(payload=b"\x02last\0\0", flags=frames.PADDED | frames.END_STREAM)


def without_credit(answer: list[Frame]) -> list[Frame]:
    """Credit for the connection is told once a read."""
    return [frame for frame in answer if (frame.kind, frame.stream_id) != (frames.WINDOW_UPDATE, 0)]
