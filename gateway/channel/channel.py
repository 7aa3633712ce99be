"""Messages both ways between control and one worker, over a Unix stream socket.

On the wire: a length in four bytes, big-endian, and that many bytes of msgpack.
"""

import asyncio
import socket
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar, cast

import msgspec

from gateway.channel.messages import Down, Up

MESSAGE_BYTES_MAX = 64 * 1024 * 1024
"""A snapshot of 10,000 replicas takes about 3 MB: what announces more than this is not a message."""

BUFFERED_BYTES_MAX = 64 * 1024 * 1024
"""Where a peer does not read: it is stuck, and what it was told is old."""

Sent = TypeVar("Sent", Down, Up)
Received = TypeVar("Received", Down, Up)


class ChannelError(Exception):
    """The peer sent what is not a message: a defect, or not our peer."""


class Frames:
    """Cuts a byte stream, however it is chunked, into the frames that were sent."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the frames that `chunk` completes. Raises ChannelError."""
        buffer = self._buffer
        buffer += chunk
        start = 0
        try:
            while len(buffer) - start >= 4:
                end = start + 4 + int.from_bytes(buffer[start : start + 4], "big")
                if end - start - 4 > MESSAGE_BYTES_MAX:
                    raise ChannelError(f"a message of {end - start - 4} bytes")
                if len(buffer) < end:
                    break
                frame = bytes(buffer[start + 4 : end])
                start = end
                yield frame
        finally:
            del buffer[:start]


_encode = msgspec.msgpack.Encoder().encode


def framed(message: Down | Up) -> bytes:
    """Return what goes over the wire: to tell many the same, encode it once."""
    return frame(_encode(message))


def frame(payload: bytes) -> bytes:
    return len(payload).to_bytes(4, "big") + payload


class Channel(asyncio.Protocol, Generic[Sent, Received]):
    """One end. Made by `open_control_end` and `open_worker_end`.

    `on_message` gets each message, in order; what it raises ends the channel (the event loop logs it), as a malformed
    message does. `on_closed` is called once, with None where the peer closed or we did, else with why.
    """

    def __init__(
        self,
        decoder: "msgspec.msgpack.Decoder[Received]",
        on_message: Callable[[Received], None],
        on_closed: Callable[[Exception | None], None],
    ) -> None:
        self._decoder = decoder
        self._on_message = on_message
        self._on_closed = on_closed
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._failure: Exception | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, message: Sent) -> bool:
        """Queue `message` and return at once. False: dropped, as the channel is closed or the peer does not read."""
        return self.send_framed(framed(message))

    def send_framed(self, message: bytes) -> bool:
        """As `send`, with what `framed` has made of a message."""
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > BUFFERED_BYTES_MAX:
            return False
        transport.write(message)
        return True

    def close(self) -> None:
        """Send what is queued, then close. `on_closed` follows."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now; what is queued is lost. `on_closed` follows."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast: uvloop's transports are no asyncio.Transport.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if not self.is_open:
            return
        try:
            for payload in self._frames.feed(data):
                self._on_message(self._decoder.decode(payload))
        except (ChannelError, msgspec.MsgspecError) as error:
            self._failure = ChannelError(str(error))
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._on_closed(self._failure or exc)


async def open_control_end(
    end: socket.socket, on_message: Callable[[Up], None], on_closed: Callable[[Exception | None], None]
) -> "Channel[Down, Up]":
    """Take `end` over (it is closed with the channel) and start reading."""
    loop = asyncio.get_running_loop()
    decoder = msgspec.msgpack.Decoder(Up)
    _, channel = await loop.create_unix_connection(lambda: Channel[Down, Up](decoder, on_message, on_closed), sock=end)
    return channel


async def open_worker_end(
    end: socket.socket, on_message: Callable[[Down], None], on_closed: Callable[[Exception | None], None]
) -> "Channel[Up, Down]":
    """Take `end` over (it is closed with the channel) and start reading."""
    loop = asyncio.get_running_loop()
    decoder = msgspec.msgpack.Decoder(Down)
    _, channel = await loop.create_unix_connection(lambda: Channel[Up, Down](decoder, on_message, on_closed), sock=end)
    return channel
