"""Settings of limits, as HTTP/2 has them on each hop."""

from dataclasses import replace

from gateway.config import LimitSettings, RateSettings
from gateway.http2.limits import Limits, Rate

_TURN_FRAMES = 32
"""Two requests, or as many frames as take about as long. Then it looks at the clock (relay.turns)."""


def agent_limits(limits: LimitSettings) -> Limits:
    return replace(
        _floods(limits),
        streams=limits.streams_per_connection,
        stream_window_bytes=limits.stream_window_bytes,
        connection_window_bytes=limits.connection_window_bytes,
        header_list_bytes=limits.header_bytes,
        header_list_max_bytes=limits.header_bytes_hard,
        turn_frames=_TURN_FRAMES,
    )


def replica_limits(limits: LimitSettings) -> Limits:
    """Replicas are trusted with long header lists, and have their turn at once; floods are floods."""
    return replace(
        _floods(limits),
        stream_window_bytes=limits.response_window_bytes,
        header_list_bytes=limits.header_bytes_hard,
        header_list_max_bytes=4 * limits.header_bytes_hard,
    )


def _floods(limits: LimitSettings) -> Limits:
    return Limits(
        continuation_frames=limits.continuation_frames,
        resets=_rate(limits.resets),
        soon_s=limits.reset_soon_s,
        idle_frames=_rate(limits.idle_frames),
        header_bytes=_rate(limits.header_bytes_rate),
        settings=_rate(limits.settings_frames),
        unread_replies=limits.unread_replies,
    )


def _rate(rate: RateSettings) -> Rate:
    return Rate(rate.burst, rate.per_s)
