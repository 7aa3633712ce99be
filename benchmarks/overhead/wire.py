"""Raw HTTP/2 for both ends of a measurement: frames from prebuilt buffers, and no checks."""

import select
import socket
from collections.abc import Sequence

from hpack import Encoder

from benchmarks.overhead.loop import Loop
from gateway.http2.frames import (
    ACK,
    DATA,
    DEFAULT_WINDOW_BYTES,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD,
    HEADER_BYTES,
    HEADERS,
    MAX_WINDOW_BYTES,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Setting,
    frame,
    read_settings,
    read_word,
    settings,
    window_update,
)

_RECEIVE_BYTES = 256 * 1024
_CREDIT_BYTES = 2**28
"""Credited on a connection at a time, so that almost no WINDOW_UPDATE is sent."""
GREETING = settings(
    [(Setting.ENABLE_PUSH, 0), (Setting.INITIAL_WINDOW_SIZE, MAX_WINDOW_BYTES), (Setting.MAX_FRAME_SIZE, 16_384)]
) + window_update(0, MAX_WINDOW_BYTES - DEFAULT_WINDOW_BYTES)
"""Any stream may send 2 GiB, which none here does."""

unpack_head = HEAD.unpack_from


def head(size: int, kind: int, flags: int, stream_id: int) -> bytes:
    return HEAD.pack(size << 8 | kind, flags, stream_id)


class HeaderBlocks:
    """Header blocks that are encoded once for a connection: as soon as the peer's table holds their fields, they no
    longer change."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        self._known: dict[int, bytes] = {}

    def resize(self, table_bytes: int) -> None:
        size = min(table_bytes, 4_096)
        if size != self._encoder.header_table_size:
            self._encoder.header_table_size = size
            self._known.clear()

    def encode(self, fields: Sequence[tuple[bytes, bytes]]) -> bytes:
        """`fields` is known by its identity: pass the same object again."""
        known = self._known.get(id(fields))
        if known is None:
            entries = self._encoder.header_table.dynamic_entries
            before = len(entries), self._encoder.header_table.resized
            known = self._encoder.encode(fields)
            if (len(entries), False) == before:
                self._known[id(fields)] = known
            else:
                self._known.clear()
        return known


class Wire:
    """One connection. Subclasses say what DATA, HEADERS and RST_STREAM mean."""

    def __init__(self, loop: Loop, sock: socket.socket, greeting: bytes, skipped_bytes: int = 0) -> None:
        """`skipped_bytes` of what comes are not frames: the preface of a client."""
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.loop = loop
        self.headers = HeaderBlocks()
        self.send_window = self.initial_window = DEFAULT_WINDOW_BYTES
        self.max_streams = MAX_WINDOW_BYTES
        self.is_ready = False
        """The peer's SETTINGS have come."""
        self.is_open = True
        self.is_blocked = False
        """The kernel takes no more for now."""
        self._sock = sock
        self.buffer = bytearray(_RECEIVE_BYTES)
        self._view = memoryview(self.buffer)
        self._filled = 0
        self._out = [greeting]
        self._uncredited = 0
        self._skipped_bytes = skipped_bytes
        self.counted_word = -1
        """Length and kind of frames that are only counted."""
        self.received_bytes = 0
        """Of DATA."""
        loop.watch(sock.fileno(), self._on_ready)
        self.flush()

    def send(self, wire: bytes) -> None:
        self._out.append(wire)

    def flush(self) -> None:
        if not self._out or not self.is_open:
            return
        wire = b"".join(self._out)
        self._out.clear()
        try:
            sent = self._sock.send(wire)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(wire):
            self._out.append(wire[sent:])
        if self.is_blocked != (sent < len(wire)):
            self.is_blocked = not self.is_blocked
            self.loop.want_writable(self._sock.fileno(), is_wanted=self.is_blocked)

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.loop.forget(self._sock.fileno())
            self._sock.close()
            self.on_closed()

    def on_headers(self, stream_id: int, flags: int, start: int, end: int) -> None:
        """The block lies in `buffer[start:end]`."""
        raise NotImplementedError

    def on_data(self, stream_id: int, flags: int, start: int, end: int) -> None:
        raise NotImplementedError

    def on_reset(self, stream_id: int, code: int) -> None:
        raise NotImplementedError

    def on_window(self, stream_id: int, increment: int) -> None:
        """A stream may send more; 0: the connection may."""

    def on_read(self) -> None:
        """All frames of one read have been taken."""

    def on_windows(self, increment: int) -> None:
        """Every stream may send more, or less."""

    def on_closed(self) -> None:
        raise NotImplementedError

    def _on_ready(self, events: int) -> None:
        if events & ~select.EPOLLOUT:
            self._receive()
        self.flush()

    def _receive(self) -> None:
        try:
            size = self._sock.recv_into(self._view[self._filled :])
        except BlockingIOError:
            return
        except OSError:
            size = 0
        if not size:
            self.close()
            return
        end = self._filled + size
        position = self._scan(end) if end >= self._skipped_bytes else 0
        self._filled = end - position
        if self._filled and position:
            self.buffer[: self._filled] = self.buffer[position:end]
        self.on_read()
        if self._uncredited > _CREDIT_BYTES:
            self.send(window_update(0, self._uncredited))
            self._uncredited = 0

    def _scan(self, end: int) -> int:
        """Read the frames up to `end`; return where the first incomplete one begins."""
        buffer, position = self.buffer, self._skipped_bytes
        self._skipped_bytes = 0
        counted, frames = self.counted_word, 0
        while end - position >= HEADER_BYTES:
            word, flags, stream_id = unpack_head(buffer, position)
            start = position + HEADER_BYTES
            stop = start + (word >> 8)
            if stop > end:
                break
            if word == counted:
                frames += 1
                position = stop
                continue
            kind = word & 0xFF
            if kind == DATA:
                self._uncredited += stop - start
                self.received_bytes += stop - start
                self.on_data(stream_id, flags, start, stop)
            elif kind == HEADERS:
                self.on_headers(stream_id, flags, start, stop)
            else:
                self._on_other(kind, flags, stream_id, bytes(buffer[start:stop]))
            position = stop
        self._uncredited += frames * (counted >> 8)
        self.received_bytes += frames * (counted >> 8)
        return position

    def _on_other(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind == WINDOW_UPDATE and stream_id:
            self.on_window(stream_id, read_word(payload))
        elif kind == WINDOW_UPDATE:
            self.send_window += read_word(payload)
            self.on_window(0, 0)
        elif kind == RST_STREAM:
            self.on_reset(stream_id, read_word(payload))
        elif kind == SETTINGS and not flags & ACK:
            self._on_settings(payload)
        elif kind == PING and not flags & ACK:
            self.send(frame(PING, ACK, 0, payload))
        elif kind == GOAWAY and read_word(payload, 4):
            self.close()

    def _on_settings(self, payload: bytes) -> None:
        for key, value in read_settings(payload):
            if key == Setting.HEADER_TABLE_SIZE:
                self.headers.resize(value)
            elif key == Setting.MAX_CONCURRENT_STREAMS:
                self.max_streams = value
            elif key == Setting.INITIAL_WINDOW_SIZE:
                self.on_windows(value - self.initial_window)
                self.initial_window = value
        self.send(frame(SETTINGS, ACK, 0))
        self.is_ready = True


def header_frame(stream_id: int, block: bytes, *, is_end: bool = False) -> bytes:
    return head(len(block), HEADERS, END_HEADERS | END_STREAM if is_end else END_HEADERS, stream_id) + block
