"""The short way of a token: whole messages go from one stream to another, and nobody is asked about each."""

from collections.abc import Callable
from struct import Struct
from typing import Final, Protocol

from gateway.http2.frames import MAX_FRAME_BYTES
from gateway.http2.outbound import Outbound
from gateway.http2.streams import Stream

__all__ = ["FRONT_BYTES", "PASSAGE_BYTES", "Passage", "Passenger", "read_front"]

FRONT: Final = Struct(">IBIBI")
"""A frame's head, and how a message of gRPC begins: length and type as one number, flags, stream id; whether it is
compressed, and its length. To read both at once costs a quarter of what it costs to compare them with a slice."""
FRONT_BYTES: Final = FRONT.size
read_front: Final[Callable[[bytes, int], tuple[int, int, int, int, int]]] = FRONT.unpack_from
PASSAGE_BYTES: Final = MAX_FRAME_BYTES
"""So much passes before it is credited: far below half a window, at which the peer is told. It is also the longest
frame that may come."""


class Passenger(Protocol):
    """Whose messages pass."""

    def on_passed(self, now_s: float) -> None:
        """One whole message has gone on; it had been read by `now_s`."""
        ...


class Passage:
    """Where the messages of a stream go on. It is good while they are whole and uncompressed and find open windows:
    at anything else its connection drops it, and the frame goes to the stream's receiver."""

    __slots__ = ("connection", "onward", "open_bytes", "passenger", "size_bytes")

    def __init__(self, passenger: Passenger, connection: Outbound, onward: Stream, size_bytes: int) -> None:
        """`onward` is a stream of `connection`."""
        self.passenger = passenger
        self.connection = connection
        self.onward = onward
        self.size_bytes = size_bytes
        self.open_bytes = size_bytes
        """Of `size_bytes`, what has not passed yet."""
