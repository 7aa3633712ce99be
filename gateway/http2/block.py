"""A header block while it arrives: HEADERS and its CONTINUATION frames (RFC 9113, 4.3 and 6.10)."""

from gateway.errors import Limit
from gateway.http2 import frames
from gateway.http2.frames import ConnectionFault, ErrorCode
from gateway.http2.limits import Limits


class HeaderBlock:
    """Begun by a HEADERS frame. Raises ConnectionFault: what is malformed here leaves HPACK out of step."""

    __slots__ = ("_continuations", "_fragments", "_limits", "_size", "depends_on_itself", "is_end", "stream_id")

    def __init__(self, flags: int, stream_id: int, payload: bytes, limits: Limits) -> None:
        fragment = frames.unpadded(flags, payload)
        self.stream_id = stream_id
        self.is_end = bool(flags & frames.END_STREAM)
        self.depends_on_itself = False
        """A stream error to RFC 7540 (5.3.1); RFC 9113 ignores priorities, and no peer has reason to send this one."""
        if flags & frames.HAS_PRIORITY:
            if len(fragment) < frames.PRIORITY_BYTES:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            self.depends_on_itself = frames.read_stream_id(fragment) == stream_id
            fragment = fragment[frames.PRIORITY_BYTES :]
        self._limits = limits
        self._fragments = [fragment]
        self._size = len(fragment)
        self._continuations = 0

    def add(self, fragment: bytes) -> None:
        """Take what CONTINUATION brings. Bounded while it arrives: a flood never sets END_HEADERS (CVE-2024-27316 and
        its kin)."""
        self._fragments.append(fragment)
        self._size += len(fragment)
        self._continuations += 1
        limits = self._limits
        if self._continuations > limits.continuation_frames:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many CONTINUATION", Limit.CONTINUATION_FRAMES)
        if self._size > limits.header_list_max_bytes:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header block is too large", Limit.HEADER_BYTES_HARD)

    def joined(self) -> bytes:
        fragments = self._fragments
        return fragments[0] if len(fragments) == 1 else b"".join(fragments)
