"""One connection of agents."""

import socket
from collections.abc import Callable

from benchmarks.overhead.loop import Loop, now_ns
from benchmarks.overhead.orders import sent_at_ns
from benchmarks.overhead.wire import GREETING, Wire, head, header_frame
from gateway.http2.frames import DATA, END_STREAM, MAX_FRAME_BYTES, PREFACE

Fields = tuple[tuple[bytes, bytes], ...]


class Ask:
    """One stream."""

    __slots__ = ("due_at_ns", "has_data", "rest", "sent_bytes", "window")

    def __init__(self, due_at_ns: int, window: int) -> None:
        self.due_at_ns = due_at_ns
        self.has_data = False
        """A proxy's own answers, and refusals, have none."""
        self.rest = b""
        """The beginning of a message that has not come whole."""
        self.window = window
        self.sent_bytes = 0


class Agent(Wire):
    """Sends the same request on every stream."""

    def __init__(self, loop: Loop, sock: socket.socket, fields: Fields) -> None:
        self._fields = fields
        self._next_id = 1
        self._unsent: dict[int, Ask] = {}
        self.body = b""
        """The request's message, with gRPC's prefix."""
        self.streams: dict[int, Ask] = {}
        self.on_end: Callable[[Agent, Ask], None] | None = None
        super().__init__(loop, sock, PREFACE + GREETING)

    def begin(self, due_at_ns: int) -> None:
        """Open a stream. It is on its way after `flush`."""
        stream_id = self._next_id
        self._next_id += 2
        ask = self.streams[stream_id] = Ask(due_at_ns, self.initial_window)
        self.send(header_frame(stream_id, self.headers.encode(self._fields)))
        self._unsent[stream_id] = ask
        self._send_bodies()

    def on_data(self, stream_id: int, flags: int, start: int, end: int) -> None:
        ask = self.streams.get(stream_id)
        if ask is not None:
            ask.has_data = True

    def on_headers(self, stream_id: int, flags: int, start: int, end: int) -> None:
        if flags & END_STREAM:
            self._end(stream_id)

    def on_reset(self, stream_id: int, code: int) -> None:
        if stream_id in self.streams:
            self.streams[stream_id].has_data = False
            self._end(stream_id)

    def on_window(self, stream_id: int, increment: int) -> None:
        if stream_id in self._unsent:
            self._unsent[stream_id].window += increment
        self._send_bodies()

    def on_windows(self, increment: int) -> None:
        for ask in self._unsent.values():
            ask.window += increment

    def on_closed(self) -> None:
        for stream_id in tuple(self.streams):
            self.on_reset(stream_id, 0)

    def _end(self, stream_id: int) -> None:
        ask = self.streams.pop(stream_id, None)
        if ask is not None:
            self._unsent.pop(stream_id, None)
            if self.on_end is not None:
                self.on_end(self, ask)

    def _send_bodies(self) -> None:
        for stream_id, ask in tuple(self._unsent.items()):
            self._send_body(stream_id, ask)
            if self.send_window <= 0:
                return

    def _send_body(self, stream_id: int, ask: Ask) -> None:
        left = len(self.body) - ask.sent_bytes
        while left and (size := min(left, MAX_FRAME_BYTES, ask.window, self.send_window)) > 0:
            flags = END_STREAM if size == left else 0
            piece = self.body[ask.sent_bytes : ask.sent_bytes + size]
            self.send(head(size, DATA, flags, stream_id) + piece)
            ask.sent_bytes += size
            ask.window -= size
            self.send_window -= size
            left -= size
        if not left:
            del self._unsent[stream_id]


class StreamingAgent(Agent):
    """Its streams last."""

    def __init__(self, loop: Loop, sock: socket.socket, fields: Fields) -> None:
        self.latencies: list[tuple[int, int]] | None = None
        """When each message was due and how long after it came, where that is wanted; all messages have one size."""
        self.message_bytes = 0
        self.on_first: Callable[[], None] = lambda: None
        """Called with the first message of each stream."""
        self.on_more: Callable[[], None] = lambda: None
        """Called when there was something to read."""
        super().__init__(loop, sock, fields)

    def on_data(self, stream_id: int, flags: int, start: int, end: int) -> None:
        ask = self.streams.get(stream_id)
        if ask is not None and not ask.has_data:
            ask.has_data = True
            self.on_first()
        if self.latencies is not None:
            self._take_times(stream_id, start, end)

    def on_read(self) -> None:
        self.on_more()

    def _take_times(self, stream_id: int, start: int, end: int) -> None:
        """Read when each message was due. A proxy may have joined messages in one frame, or cut one."""
        ask = self.streams.get(stream_id)
        if ask is None or self.latencies is None:
            return
        payload, size = self.buffer, self.message_bytes
        if ask.rest:
            payload = ask.rest + self.buffer[start:end]
            start, end = 0, len(payload)
        now = now_ns()
        while end - start >= size:
            due_at_ns = sent_at_ns(payload, start)
            self.latencies.append((due_at_ns, now - due_at_ns))
            start += size
        ask.rest = bytes(payload[start:end])
