"""The sending half of a connection: windows, what waits for them, and the bytes that may leave."""

from collections import deque
from collections.abc import Callable
from typing import Final

from gateway.http2 import frames
from gateway.http2.codec import EMPTY_TABLE, HeaderEncoder
from gateway.http2.frames import ErrorCode
from gateway.http2.headers import Fields
from gateway.http2.streams import TRANSITIONS, Event, ResetStreams, State, Stream, Verdict

_REMEMBERED_RESETS: Final = 256
_LONG_BYTES: Final = 4 * 1024
"""A payload that is not copied behind its head: the copy would cost more than one buffer more to write."""
_WRITE_BYTES: Final = 256 * 1024
"""Of such payloads, at a time: what waits goes on when these are written, and others have had their turn."""


class Outbound:
    """Keeps `out`, the bytes to write, in order. Calls `on_output` when there are some again after there were none."""

    def __init__(self, encoder: HeaderEncoder, on_output: Callable[[], None], *, is_server: bool) -> None:
        self.is_server = is_server
        self.streams: dict[int, Stream] = {}
        self.out: list[bytes | memoryview] = []
        self.long_bytes = 0
        """Of payloads in `out` that are better not joined."""
        self.send_window: int = frames.DEFAULT_WINDOW_BYTES
        self.peer_window_bytes: int = frames.DEFAULT_WINDOW_BYTES
        """What the peer's settings give each new stream."""
        self.on_output = on_output
        self._encoder = encoder
        self.ended_streams = 0
        """Whose end we have sent."""
        self._granted_bytes: int = self.send_window
        """All that the connection's window has ever been given."""
        self.is_paused = False
        self._unread_replies = 0
        self._is_first_block = True
        self._ready: dict[int, Stream] = {}
        """Streams that wait for nothing but the connection's window or the socket, the next one first."""
        self._resets = ResetStreams(_REMEMBERED_RESETS)

    @property
    def sent_bytes(self) -> int:
        """Content, over the connection's life."""
        return self._granted_bytes - self.send_window

    def take_output(self) -> list[bytes | memoryview]:
        out = self.out
        self.out = []
        self.long_bytes = 0
        return out

    def pause(self) -> None:
        """The socket takes no more: DATA waits in its streams, where windows bound it."""
        self.is_paused = True

    def go_on(self) -> None:
        """What was taken is written: send more of what waits."""
        if self._ready:
            self._pump()

    def resume(self) -> None:
        self.is_paused = False
        self._unread_replies = 0
        self._pump()

    def forward(self, stream: Stream, data: bytes, start: int, end: int) -> bool:
        """Send the frame that `StreamReceiver.on_data` gave, with this stream's id. Return False where it must wait:
        then `on_sent` tells."""
        size = end - start - 9
        if size > stream.send_window or size > self.send_window or self.is_paused or stream.pending:
            self.send_data(stream, data[start + 9 : end])
            return False
        stream.send_window -= size
        self.send_window -= size
        out = self.out
        if not out:
            self.on_output()
        out += (frames.DATA_HEADS[size], stream.wire_id, data[start + 9 : end])
        return True

    def send_headers(self, stream: Stream, fields: Fields, *, is_end: bool = False) -> None:
        """Send headers, or trailers where `is_end`; behind whatever waits in the stream."""
        self._send_block(stream, self._encode(fields), is_end=is_end)

    def _send_block(self, stream: Stream, block: bytes, *, is_end: bool) -> None:
        self._require(stream, Event.SEND_HEADERS)
        stream.is_answered = True
        if not stream.pending:
            self._emit(frames.header_block(stream.id, block, end_stream=is_end))
            if is_end:
                self._close_local(stream)
        elif is_end:
            stream.pending_trailers = block
        else:
            raise AssertionError(f"headers behind data on {stream!r}")

    def send_data(self, stream: Stream, payload: bytes, *, is_end: bool = False) -> None:
        """Send a payload in as many frames as the windows and the frame size ask for; `on_sent` tells of each."""
        self._require(stream, Event.SEND_DATA)
        if payload and not (stream.pending or self.is_paused) and len(payload) <= self._room(stream):
            self._send_at_once(stream, payload, is_end=is_end)
            return
        stream.wants_end = is_end
        if payload:
            if stream.pending is None:
                stream.pending = deque()
            stream.pending.append(payload)
            self._queue(stream)
            self._pump()
        elif is_end and not stream.pending:
            self._emit(frames.frame(frames.DATA, frames.END_STREAM, stream.id))
            self._close_local(stream)

    def _room(self, stream: Stream) -> int:
        """Return how long a frame of the stream may be now."""
        window = min(stream.send_window, self.send_window)
        return min(frames.MAX_FRAME_BYTES, window)

    def _send_at_once(self, stream: Stream, payload: bytes, *, is_end: bool) -> None:
        """As `_pump` does what fits whole where nothing waits in the stream."""
        size = len(payload)
        stream.send_window -= size
        self.send_window -= size
        self._emit_data(stream, payload, is_end=is_end)
        if is_end:
            self._close_local(stream)
        stream.receiver.on_sent(size)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """End the stream for both sides. Its receiver is not told."""
        self._require(stream, Event.SEND_RESET)
        self._drop(stream, State.RESET)
        self._emit_reset(stream.id, code)

    def _emit_reset(self, stream_id: int, code: ErrorCode) -> None:
        self._resets.add(stream_id)
        self._emit(frames.rst_stream(stream_id, code))

    def _encode(self, fields: Fields) -> bytes:
        block = self._encoder.encode(fields)
        if self._is_first_block:
            self._is_first_block = False
            return EMPTY_TABLE + block
        return block

    def _emit(self, piece: bytes) -> None:
        if not self.out:
            self.on_output()
        self.out.append(piece)

    def _emit_data(self, stream: Stream, payload: bytes | memoryview, *, is_end: bool) -> None:
        """Send a payload in as many frames as it needs."""
        flags = frames.END_STREAM if is_end else 0
        size = len(payload)
        if size < _LONG_BYTES:
            self._emit(frames.frame(frames.DATA, flags, stream.id, payload))
            return
        self.long_bytes += size
        if size > frames.MAX_FRAME_BYTES:
            whole = frames.head(frames.DATA, 0, stream.id, frames.MAX_FRAME_BYTES)
            payload = memoryview(payload)
            while len(payload) > frames.MAX_FRAME_BYTES:
                self._emit(whole)
                self.out.append(payload[: frames.MAX_FRAME_BYTES])
                payload = payload[frames.MAX_FRAME_BYTES :]
        self._emit(frames.head(frames.DATA, flags, stream.id, len(payload)))
        self.out.append(payload)

    def _queue(self, stream: Stream) -> None:
        """Give a stream its turn if it has something to send and a window for it."""
        if stream.pending and stream.send_window > 0:
            self._ready.setdefault(stream.id, stream)

    def _pump(self) -> None:
        """Send what waits, one frame a stream and turn where several wait, so that one long answer does not starve the
        others. What a turn costs depends on what it sends, and not on how many streams wait."""
        ready = self._ready
        while ready and self.send_window > 0 and self.long_bytes < _WRITE_BYTES and not self.is_paused:
            stream = ready.pop(next(iter(ready)))
            size = self._send_one(stream)
            self._queue(stream)
            stream.receiver.on_sent(size)

    def _send_one(self, stream: Stream) -> int:
        """Send some of what waits in a stream that has its turn. Return how many bytes."""
        pending = stream.pending
        assert pending is not None
        payload = pending[0]
        most_bytes = frames.MAX_FRAME_BYTES if self._ready else _WRITE_BYTES
        size = min(len(payload), most_bytes, stream.send_window, self.send_window)
        if size == len(payload):
            pending.popleft()
            if not pending:
                stream.pending = None
        else:
            rest = memoryview(payload)
            pending[0] = rest[size:]
            payload = rest[:size]
        stream.send_window -= size
        self.send_window -= size
        is_end = stream.wants_end and not pending
        self._emit_data(stream, payload, is_end=is_end)
        if not pending and stream.pending_trailers is not None:
            self._emit(frames.header_block(stream.id, stream.pending_trailers, end_stream=True))
            is_end = True
        if is_end:
            self._close_local(stream)
        return size

    def _close_local(self, stream: Stream) -> None:
        """We have sent END_STREAM. A server that has answered does not want the rest of the request: with NO_ERROR it
        asks the client to leave it (8.1)."""
        self.ended_streams += 1
        state = TRANSITIONS[stream.state][Event.SEND_END]
        if state is State.CLOSED:
            self._drop(stream, State.CLOSED)
        else:
            stream.state = State.HALF_CLOSED_LOCAL
            if self.is_server:
                self.reset(stream, ErrorCode.NO_ERROR)

    def _drop(self, stream: Stream, state: State) -> None:
        stream.close(state)
        self.streams.pop(stream.id, None)
        if self._ready:
            self._ready.pop(stream.id, None)

    def _require(self, stream: Stream, event: Event) -> None:
        """Raise AssertionError where sending this were a defect of ours."""
        if isinstance(TRANSITIONS[stream.state][event], Verdict):
            raise AssertionError(f"{event.name} on {stream!r}")
        if event is not Event.SEND_RESET and (stream.wants_end or stream.pending_trailers is not None):
            raise AssertionError(f"{event.name} behind the end of {stream!r}")
