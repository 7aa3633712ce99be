"""The sending half of a connection: windows, what waits for them, and the bytes that may leave."""

from collections import deque
from collections.abc import Callable

from gateway.http2 import frames
from gateway.http2.frames import ErrorCode
from gateway.http2.headers import EMPTY_TABLE, Fields, HeaderEncoder
from gateway.http2.streams import TRANSITIONS, Event, State, Stream, Verdict

_REMEMBERED_RESETS = 256
"""Frames may arrive on a stream that we reset, for a round trip; older ones are streams that the peer closed."""


class Outbound:
    """Keeps `out`, the bytes to write, in order. Calls `on_output` when there are some again after there were none."""

    def __init__(self, encoder: HeaderEncoder, on_output: Callable[[], None]) -> None:
        self.streams: dict[int, Stream] = {}
        self.out: list[bytes] = []
        self.send_window = frames.DEFAULT_WINDOW_BYTES
        self.peer_window_bytes = frames.DEFAULT_WINDOW_BYTES
        """What the peer's settings give each new stream."""
        self._on_output = on_output
        self._encoder = encoder
        self._is_paused = False
        self._is_first_block = True
        self._blocked: dict[int, Stream] = {}
        self._resets: deque[int] = deque(maxlen=_REMEMBERED_RESETS)

    def take_output(self) -> list[bytes]:
        out = self.out
        self.out = []
        return out

    def pause(self) -> None:
        """The socket takes no more: DATA waits in its streams, where windows bound it."""
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = False
        self._pump_blocked()

    def forward(self, stream: Stream, data: bytes, start: int, end: int) -> bool:
        """Send the frame that `StreamReceiver.on_data` gave, with this stream's id. Return False where it must wait:
        then `on_sent` tells."""
        size = end - start - 9
        if size > stream.send_window or size > self.send_window or self._is_paused or stream.pending:
            self.send_data(stream, data[start + 9 : end])
            return False
        stream.send_window -= size
        self.send_window -= size
        out = self.out
        if not out:
            self._on_output()
        out.append(data[start : start + 5] + stream.id_bytes + data[start + 9 : end])
        return True

    def send_headers(self, stream: Stream, fields: Fields, *, is_end: bool = False) -> None:
        """Send headers, or trailers where `is_end`; behind whatever waits in the stream."""
        self._require(stream, Event.SEND_HEADERS)
        block = self._encode(fields)
        if stream.pending:
            if not is_end:
                raise AssertionError("headers after data")
            stream.pending_trailers = block
        else:
            self._emit(frames.header_block(stream.id, block, end_stream=is_end))
            if is_end:
                self._close_local(stream)

    def send_data(self, stream: Stream, payload: bytes, *, is_end: bool = False) -> None:
        """Send a payload in as many frames as the windows and the frame size ask for; `on_sent` tells of each."""
        self._require(stream, Event.SEND_DATA)
        if stream.pending is None:
            stream.pending = deque()
        stream.pending.append(payload)
        stream.wants_end = is_end
        self._pump(stream)

    def reset(self, stream: Stream, code: ErrorCode) -> None:
        """End the stream for both sides. Its receiver is not told."""
        self._require(stream, Event.SEND_RESET)
        self._drop(stream, State.RESET)
        self._resets.append(stream.id)
        self._emit(frames.rst_stream(stream.id, code))

    def _encode(self, fields: Fields) -> bytes:
        block = self._encoder.encode(fields)
        if self._is_first_block:
            self._is_first_block = False
            return EMPTY_TABLE + block
        return block

    def _emit(self, piece: bytes) -> None:
        if not self.out:
            self._on_output()
        self.out.append(piece)

    def _pump(self, stream: Stream) -> None:
        """Send what waits in one stream until a window is used up."""
        while stream.pending:
            if not self._send_one(stream):
                self._blocked[stream.id] = stream
                return
        self._blocked.pop(stream.id, None)
        if stream.pending_trailers is not None:
            block, stream.pending_trailers = stream.pending_trailers, None
            self._emit(frames.header_block(stream.id, block, end_stream=True))
            self._close_local(stream)

    def _pump_blocked(self) -> None:
        """One frame a stream and round, so that one long answer does not starve the others."""
        waiting = list(self._blocked.values())
        while waiting and self.send_window > 0 and not self._is_paused:
            waiting = [stream for stream in waiting if stream.pending and self._send_one(stream)]
            for stream in [s for s in self._blocked.values() if not s.pending]:
                self._pump(stream)

    def _send_one(self, stream: Stream) -> bool:
        """Send one frame of what waits. Return False where it must go on waiting."""
        pending = stream.pending
        if not pending:
            return False
        payload = pending[0]
        size = min(len(payload), frames.MAX_FRAME_BYTES, max(0, stream.send_window), max(0, self.send_window))
        if payload and (size == 0 or self._is_paused):
            return False
        if size == len(payload):
            pending.popleft()
        else:
            rest = memoryview(payload)
            pending[0] = rest[size:]
            payload = rest[:size]
        is_end = stream.wants_end and not pending
        stream.send_window -= size
        self.send_window -= size
        self._emit(frames.frame(frames.DATA, frames.END_STREAM if is_end else 0, stream.id, payload))
        if is_end:
            self._close_local(stream)
        if size:
            stream.receiver.on_sent(size)
        return True

    def _close_local(self, stream: Stream) -> None:
        state = TRANSITIONS[stream.state][Event.SEND_END]
        if state is State.CLOSED:
            self._drop(stream, State.CLOSED)
        else:
            stream.state = State.HALF_CLOSED_LOCAL

    def _drop(self, stream: Stream, state: State) -> None:
        stream.state = state
        stream.is_receiving = False
        stream.pending = None
        stream.pending_trailers = None
        self.streams.pop(stream.id, None)
        self._blocked.pop(stream.id, None)

    def _require(self, stream: Stream, event: Event) -> None:
        if isinstance(TRANSITIONS[stream.state][event], Verdict):
            raise AssertionError(f"{event.name} on {stream!r}")
