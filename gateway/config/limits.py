"""What one agent, or all together, may take: `settings.limits`.

The metrics inference_gateway_limits_hit_total and, for replicas, inference_gateway_replica_limits_hit_total count who
meets a limit, by these names; docs/limits.md says what then happens. Defaults are those of trusted proxies, named where
they come from.
"""

from typing import Annotated

from msgspec import Meta

from gateway.config.base import PositiveInt, PositiveSeconds, Strict

KIB = 1024
MIB = 1024 * KIB

_WINDOW_BYTES_MAX = 2**31 - 1
CONNECTIONS_MAX = 131_072
"""Who has a connection is counted in memory that workers share, cut to size when the gateway starts."""
Window = Annotated[int, Meta(ge=65_535, le=_WINDOW_BYTES_MAX)]
"""A smaller one would bind a peer only after it has acknowledged our settings (RFC 9113, 6.9.2)."""


class RateSettings(Strict, frozen=True):
    """So many at once, and more as time passes."""

    burst: PositiveInt
    """At once."""
    per_s: Annotated[float, Meta(ge=0)]
    """More, each second."""


class LimitSettings(Strict, frozen=True):
    """Names are those of the metric's label `limit`."""

    # Requests.
    request_bytes: Annotated[int, Meta(ge=1, le=1024 * MIB)] = 16 * MIB
    """One request message, as sent and as inflated. While one of 16 MiB is read all others wait, for some 60 ms."""
    buffered_bytes: PositiveInt = 512 * MIB
    """All that is held of requests before their replica is chosen, over all workers. Above it requests are refused:
    none waits, since each could be waiting for what the others hold."""
    header_bytes: PositiveInt = 8 * KIB
    """Above it (RFC 9113 6.5.2: names + values + 32 each) a request is refused. gRPC's default."""
    header_bytes_hard: PositiveInt = 16 * KIB
    """Above it the agent's connection ends, because decoding on would cost others too much: of one list, some 5 ms.
    gRPC's default, and HAProxy's for all headers together."""
    first_message_timeout_s: PositiveSeconds = 60.0
    """From a request's headers to its first whole message (nginx: client_body_timeout)."""

    # Responses.
    response_window_bytes: Window = 256 * KIB
    """Of one response that its agent does not read: a replica may send no more."""
    unread_connection_bytes: PositiveInt = 64 * MIB
    """Of all responses on one connection together; above it those that hold most are cancelled."""
    unread_timeout_s: PositiveSeconds = 60.0
    """How long a byte may wait for its agent to read it (nginx: send_timeout); then its stream is cancelled, and the
    connection ends where its socket takes nothing."""
    held_tail_bytes: PositiveInt = 64 * KIB
    """Of a response message that has begun and not ended; a longer one passes in pieces."""

    # Connections.
    connections: Annotated[int, Meta(ge=1, le=CONNECTIONS_MAX)] = 20_000
    """Of all agents, over all workers; above it new ones are closed."""
    connections_per_address: PositiveInt = 2_000
    """Of one agent's IP address (IPv6: its 64-bit network), over all workers. Agents behind one proxy share theirs."""
    streams_per_connection: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1_000
    """Announced to agents as SETTINGS_MAX_CONCURRENT_STREAMS. Envoy's edge guide and others say 100; agents of one
    process share a connection."""
    handshake_timeout_s: PositiveSeconds = 10.0
    """From the accepted connection to the agent's preface and SETTINGS, TLS included."""
    handshakes: PositiveInt = 1_000
    """So many connections of one worker may be before that at a time; above it the oldest of them ends."""
    idle_timeout_s: PositiveSeconds = 3_600.0
    """Of a connection without streams; then it is closed (Envoy: idle_timeout)."""
    vanished_timeout_s: Annotated[float, Meta(ge=1, le=3_600)] = 120.0
    """Of an agent's host that leaves TCP unanswered, or takes not a byte, for so long: it has gone without a word, and
    TCP ends the connection. A silent one is asked after half of the time."""
    stream_window_bytes: Window = 256 * KIB
    """Of one request, while nobody reads it; its first message is asked for at once, whatever its length."""
    connection_window_bytes: Window = 16 * MIB
    """Of all requests on one connection."""

    # Floods: who asks for more of what costs time gets ENHANCE_YOUR_CALM, agent or replica. gateway.http2.limits says
    # what counts, and what earns more.
    continuation_frames: PositiveInt = 16
    """For one header list."""
    resets: RateSettings = RateSettings(burst=1_000, per_s=33)
    """Streams reset before they are answered, by the agent or by its mistakes (nghttp2's figures)."""
    reset_soon_s: PositiveSeconds = 1.0
    """An agent that has waited longer may give up, and that does not count."""
    idle_frames: RateSettings = RateSettings(burst=10_000, per_s=1_000)
    """Frames that carry nothing."""
    header_bytes_rate: RateSettings = RateSettings(burst=1 * MIB, per_s=256 * KIB)
    """Of header blocks, as sent."""
    settings_frames: RateSettings = RateSettings(burst=100, per_s=10)
    """Each of which must be answered."""
    unread_replies: PositiveInt = 1_000
    """Answers to frames that wait while the agent does not read (Envoy: max_outbound_control_frames)."""
    tls_empty_records: PositiveInt = 32
    """Records of TLS that carry nothing, key updates above all, beyond one for each MiB of content (BoringSSL, and so
    Envoy: 32 key updates in a row). OpenSSL has no bound of its own, and takes up to 0.07 ms for one."""

    # Overload.
    memory_soft_bytes: PositiveInt = 1024 * MIB
    """What agents hold of a worker's memory, estimated; above it requests are refused (OVERLOADED), health is not."""
    memory_hard_bytes: PositiveInt = 1536 * MIB
    """Above it the connections that hold most are ended."""

    def __post_init__(self) -> None:
        if self.header_bytes_hard < self.header_bytes:
            raise ValueError("header_bytes_hard: below header_bytes")
        if self.buffered_bytes < self.request_bytes:
            raise ValueError("buffered_bytes: below request_bytes, so that the largest request could never pass")
        if self.stream_window_bytes + self.request_bytes > _WINDOW_BYTES_MAX:
            raise ValueError("stream_window_bytes: with request_bytes more than a window may have (RFC 9113, 6.9.1)")
        if self.memory_hard_bytes < self.memory_soft_bytes:
            raise ValueError("memory_hard_bytes: below memory_soft_bytes")
