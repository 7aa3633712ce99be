"""SETTINGS (RFC 9113, 6.5): what we announce, and what a peer may."""

from gateway.http2 import frames
from gateway.http2.frames import ConnectionFault, ErrorCode, Setting
from gateway.http2.limits import Limits


def announcement(limits: Limits, *, is_server: bool) -> bytes:
    """Return our SETTINGS frame, and the connection's window where it is wider than the protocol's own."""
    values = [
        (Setting.HEADER_TABLE_SIZE, 0),
        (Setting.INITIAL_WINDOW_SIZE, limits.stream_window_bytes),
        (Setting.MAX_HEADER_LIST_SIZE, limits.header_list_bytes),
        (Setting.MAX_CONCURRENT_STREAMS, limits.streams) if is_server else (Setting.ENABLE_PUSH, 0),
    ]
    wire = frames.settings(values)
    extra_bytes = limits.connection_window_bytes - frames.DEFAULT_WINDOW_BYTES
    return wire + frames.window_update(0, extra_bytes) if extra_bytes else wire


def read(payload: bytes, *, from_client: bool) -> dict[int, int]:
    """Return what a peer's SETTINGS change: the last value of each, since only differences act. Unknown ones are
    ignored by who reads on. Raises ConnectionFault."""
    if len(payload) % 6:
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
    values = frames.read_settings(payload)
    for key, value in values:
        if key == Setting.INITIAL_WINDOW_SIZE and value > frames.MAX_WINDOW_BYTES:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE above 2^31-1")
        if key == Setting.ENABLE_PUSH and value > (1 if from_client else 0):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH")
        if key == Setting.MAX_FRAME_SIZE and not frames.MAX_FRAME_BYTES <= value < 2**24:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE")
    return dict(values)
