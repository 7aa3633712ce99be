"""What a header list begins or ends. A module of its own, since what `headers` has cannot be compiled."""

from enum import IntEnum

__all__ = ["Kind"]


class Kind(IntEnum):
    REQUEST = 0
    RESPONSE = 1
    TRAILERS = 2
