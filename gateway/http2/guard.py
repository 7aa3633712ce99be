"""Floods: what costs a peer nothing and us time."""

from collections.abc import Callable
from typing import Final, Protocol

from gateway.errors import Limit
from gateway.http2.budget import Budget
from gateway.http2.frames import ConnectionFault, ErrorCode
from gateway.http2.limits import Limits

# What a stream that we have ended earns, and what content that we have sent does (Limits says why).
_RESETS_A_STREAM: Final = 1
_IDLE_FRAMES_A_STREAM: Final = 10
_HEADER_BYTES_A_STREAM: Final = 1_024
_SENT_BYTES_AN_IDLE_FRAME: Final = 8
_BLOCK_BYTES: Final = 64
"""The work on a header block of no length, in bytes of headers."""


_WHAT: Final = {
    Limit.RESETS: "resets",
    Limit.IDLE_FRAMES: "frames that carry nothing",
    Limit.SETTINGS_FRAMES: "SETTINGS",
    Limit.HEADER_BYTES_RATE: "headers",
}


class Work(Protocol):
    """What we have done for the peer so far."""

    @property
    def ended_streams(self) -> int: ...

    @property
    def sent_bytes(self) -> int: ...


class Guard:
    """Counts for one connection, and calls for calm: ConnectionFault, ENHANCE_YOUR_CALM."""

    def __init__(self, limits: Limits, clock: Callable[[], float], work: Work) -> None:
        self._resets = Budget(limits.resets, clock)
        self._idle_frames = Budget(limits.idle_frames, clock)
        self._settings = Budget(limits.settings, clock)
        self._header_bytes = Budget(limits.header_bytes, clock)
        self._work = work
        self._paid_streams = 0
        self._paid_bytes = 0

    def count_reset(self) -> None:
        if not self._resets.spend(1):
            self._insist(self._resets, 1, Limit.RESETS)

    def count_idle_frame(self) -> None:
        if not self._idle_frames.spend(1):
            self._insist(self._idle_frames, 1, Limit.IDLE_FRAMES)

    def count_settings(self) -> None:
        if not self._settings.spend(1):
            self._insist(self._settings, 1, Limit.SETTINGS_FRAMES)

    def count_header_block(self, size: int) -> None:
        if not self._header_bytes.spend(size + _BLOCK_BYTES):
            self._insist(self._header_bytes, size + _BLOCK_BYTES, Limit.HEADER_BYTES_RATE)

    def _insist(self, budget: Budget, count: int, limit: Limit) -> None:
        """There is not enough in it: perhaps with what the peer has earned."""
        self._collect()
        if not budget.spend(count):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, f"too many {_WHAT[limit]}", limit)

    def _collect(self) -> None:
        """Pay in what our work has earned the peer since the last time."""
        streams = self._work.ended_streams - self._paid_streams
        sent_bytes = self._work.sent_bytes - self._paid_bytes
        self._paid_streams += streams
        self._paid_bytes += sent_bytes
        self._resets.earn(streams * _RESETS_A_STREAM)
        self._idle_frames.earn(streams * _IDLE_FRAMES_A_STREAM + sent_bytes / _SENT_BYTES_AN_IDLE_FRAME)
        self._header_bytes.earn(streams * _HEADER_BYTES_A_STREAM)
