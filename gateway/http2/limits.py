"""What a peer may ask of one connection."""

from dataclasses import dataclass

from gateway.http2.frames import DEFAULT_WINDOW_BYTES


@dataclass(frozen=True, slots=True)
class Limits:
    """Announced in SETTINGS, where HTTP/2 has a setting for it. Defaults are those of trusted proxies: Envoy's edge
    guide for windows, gRPC's 8 KiB for metadata, HAProxy and nginx (100 to 128) raised for agents that share one
    connection."""

    streams: int = 1_000
    """Open at a time; more are answered REFUSED_STREAM."""
    stream_window_bytes: int = 256 * 1024
    """At least 65,535: a smaller window would bind the peer only after it has acknowledged our settings."""
    connection_window_bytes: int = 16 * 1024 * 1024
    header_list_bytes: int = 8 * 1024
    """Announced; a longer list is the stream's problem, up to the next limit."""
    header_list_max_bytes: int = 64 * 1024
    """Ends the connection, decoded or not."""
    continuation_frames: int = 16
    """For one header list."""

    def __post_init__(self) -> None:
        if self.stream_window_bytes < DEFAULT_WINDOW_BYTES or self.connection_window_bytes < DEFAULT_WINDOW_BYTES:
            raise ValueError(f"windows are at least {DEFAULT_WINDOW_BYTES} bytes")
