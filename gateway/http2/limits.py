"""What a peer may ask of one connection."""

from dataclasses import dataclass

from gateway.http2.frames import DEFAULT_WINDOW_BYTES


@dataclass(frozen=True, slots=True)
class Rate:
    """So much at once, and more as time passes."""

    burst: int
    per_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """Announced in SETTINGS, where HTTP/2 has a setting for it. Defaults are those of trusted proxies: Envoy's edge
    guide for windows, gRPC's 8 KiB for metadata, HAProxy and nginx (100 to 128) raised for agents that share one
    connection. Who asks for more of what costs time than `resets` and those below it gets ENHANCE_YOUR_CALM."""

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
    resets: Rate = Rate(1_000, 33)
    """Streams that the peer resets soon, before they are answered (rapid reset, CVE-2023-44487), or makes us reset
    (MadeYouReset, CVE-2025-8671). nghttp2's figures; each stream that is answered to its end earns one more, since
    agents do cancel."""
    soon_s: float = 1.0
    """Envoy's figure. Who has waited longer may give up, and a thousand agents behind one proxy do so at once."""
    idle_frames: Rate = Rate(10_000, 1_000)
    """Frames that carry nothing: PING, SETTINGS, PRIORITY, WINDOW_UPDATE, RST_STREAM, unknown ones, DATA without
    content or for nobody (CVE-2019-9511, 9512, 9517, 9518). Some 3 us of work each. What we send earns more, so
    that a peer may acknowledge every message and a tiny window buys nothing: one for each 8 bytes of content, ten
    for each stream (Envoy takes ten WINDOW_UPDATE for each DATA)."""
    header_bytes: Rate = Rate(1024 * 1024, 256 * 1024)
    """Of header blocks, as sent: to decode a byte takes up to 0.5 us. Each stream that is answered to its end earns
    1 KiB, so that only lists that are long and many count."""
    settings: Rate = Rate(100, 10)
    """SETTINGS frames: each may touch every stream (CVE-2019-9515)."""
    unread_replies: int = 1_000
    """Answers to frames (ACK, RST_STREAM) that wait while the peer does not read (CVE-2019-9512, 9514). Envoy's
    figure."""

    turn_frames: int = 2**31
    """Frames other than content that are looked at before others have their turn; a header list counts for more. So a
    flood costs other connections some of their time, however much of it one read brings."""

    def __post_init__(self) -> None:
        if self.stream_window_bytes < DEFAULT_WINDOW_BYTES or self.connection_window_bytes < DEFAULT_WINDOW_BYTES:
            raise ValueError(f"windows are at least {DEFAULT_WINDOW_BYTES} bytes")
