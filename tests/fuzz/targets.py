"""What is fuzzed: whatever bytes arrive, only declared errors, and no more memory than is allowed."""

from collections.abc import Callable, Mapping

from gateway.http2 import frames
from gateway.http2.codec import BlockCache
from gateway.http2.decoder import HeaderDecoder
from gateway.http2.frames import ConnectionFault
from gateway.http2.limits import Limits, Rate
from tests.gateway.http2.raw_peer import PREFACE_SETTINGS, SETTINGS_ACK, RawPeer

LIMITS = Limits(
    streams=4,
    stream_window_bytes=65_535,
    connection_window_bytes=2**20,
    header_list_max_bytes=20_000,
    idle_frames=Rate(50, 1),
    turn_frames=7,
)
_LIST_BYTES = 20_000


def connection(data: bytes) -> None:
    """The first byte says which side is under test, how far the handshake is, and how what follows is cut."""
    mode, wire = data[:1] or b"\0", data[1:]
    is_server, is_greeted, step = bool(mode[0] & 1), bool(mode[0] & 2), (mode[0] >> 2) + 1
    greeting = PREFACE_SETTINGS if is_server else frames.settings([])
    peer = RawPeer(is_server=is_server, limits=LIMITS, opening=greeting + SETTINGS_ACK if is_greeted else b"")
    if not is_server:
        peer.open()
        peer.open(is_end=True)
    http2, sent_bytes = peer.connection, 0
    for start in range(0, len(wire), step):
        http2.receive(wire[start : start + step])
        while http2.has_more:
            http2.receive(b"")
        sent_bytes += sum(map(len, http2.take_output()))
    # A frame of nine bytes is answered by one of 17 at the most, and a fault by one that says why.
    assert sent_bytes <= 2 * len(wire) + 1_000, sent_bytes
    assert len(http2.streams) <= LIMITS.streams
    assert len(http2._rest) < frames.HEADER_BYTES + frames.MAX_FRAME_BYTES  # pyright: ignore[reportPrivateUsage]


def headers(data: bytes) -> None:
    """Header blocks one after the other on one connection, each behind its length in a byte."""
    decoder = HeaderDecoder(BlockCache(), _LIST_BYTES)
    position = 0
    try:
        while position < len(data):
            end = position + 1 + data[position]
            fields = decoder.decode(data[position + 1 : end])
            assert sum(len(name) + len(value) + 32 for name, value in fields) == fields.list_bytes <= _LIST_BYTES
            position = end
            if position % 5 == 0:
                decoder.forbid_table()
    except ConnectionFault:
        pass


TARGETS: Mapping[str, Callable[[bytes], None]] = {"connection": connection, "headers": headers}
