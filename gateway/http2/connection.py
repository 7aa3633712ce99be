"""One HTTP/2 connection without its socket: bytes in, calls and bytes out. It never waits.

A breach of a rule by the peer is handled here: a stream is reset and its receiver told, or the connection gets GOAWAY
and `fault` says why. `receive` raises nothing else, whatever the bytes.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from gateway.http2 import frames
from gateway.http2.codec import Codec
from gateway.http2.control import Control
from gateway.http2.frames import DATA_HEADS, ConnectionFault, ErrorCode, StreamFault
from gateway.http2.headers import Fields
from gateway.http2.limits import Limits
from gateway.http2.owner import ConnectionOwner
from gateway.http2.passage import FRONT_BYTES, read_front
from gateway.http2.preface import Greeting, greeting
from gateway.http2.streams import Stream, StreamReceiver

__all__ = ["Connection", "ConnectionOwner"]

_read_head: Final = frames.read_head
_HEADERS_EFFORT: Final = 16
"""What a header list costs, and the request that it begins, in frames without either."""
_EFFORT_BYTES: Final = 32
"""Of a header block, for one such frame: a safe guess, since to decode them, Huffman coded, takes a quarter of it."""
_MAX_HEAD: Final = frames.MAX_FRAME_BYTES << 8 | 0xFF


class Connection(Control):
    """A server's or a client's side, by `is_server`."""

    def __init__(
        self,
        owner: ConnectionOwner,
        *,
        is_server: bool,
        limits: Limits,
        codec: Codec,
        clock: Callable[[], float],
        http1_answer: bytes = b"",
    ) -> None:
        """`clock` is monotonic, seconds; it is asked once for what was read at once. `http1_answer` goes to a peer that
        speaks HTTP/1 to a server."""
        super().__init__(owner, is_server=is_server, limits=limits, codec=codec, clock=clock)
        self._http1_answer = http1_answer
        self.spoken = Greeting.UNDECIDED
        """Servers: what the peer spoke first."""
        self._rest = b""
        self._awaits_settings = True
        self.has_more = False
        """Whole frames wait for another turn."""
        if not is_server:
            self._emit(frames.PREFACE)
            self._announce()

    # What the owner asks for.

    def open_stream(
        self, fields: Fields, receiver: StreamReceiver, *, more: Sequence[Fields] = (), is_end: bool = False
    ) -> Stream:
        """Clients: begin a request. `can_open` must hold. The lists in `more` follow: what differs from call to call
        stands apart from what is encoded once (headers.FieldList)."""
        self.last_stream_id += 2 if self.last_stream_id else 1
        stream = Stream(self.last_stream_id, self.peer_window_bytes, self.limits.stream_window_bytes, receiver)
        self.streams[stream.id] = stream
        block = self._encode(fields)
        for others in more:
            block += self._encode(others)
        self._send_block(stream, block, is_end=is_end)
        return stream

    @property
    def can_open(self) -> bool:
        """Clients: the peer takes one more stream now."""
        return not self.is_draining and len(self.streams) < self.peer_streams and not self.is_exhausted

    @property
    def is_exhausted(self) -> bool:
        """Stream ids are used up (5.1.1): the connection has to be replaced."""
        return self.last_stream_id >= frames.MAX_STREAM_ID

    # What the peer sends.

    def pass_on(self, data: bytes) -> bytes:
        """Clients: let the whole messages at the front of what was read go on, as long as they find passages. Return
        what is left for `receive`; mostly nothing, and then nothing else has changed here."""
        if self._rest or self.fault is not None:
            return data
        self.received_at = self._clock()
        position = self._pass_messages(data, 0)
        if position == len(data):
            self._credit_connection()
            return b""
        return data[position:] if position else data

    def receive(self, data: bytes) -> None:
        """Take bytes from the socket, cut anywhere. Where `has_more`, not all has been looked at: call it with nothing
        when others have had their turn."""
        if self.has_failed:
            self.has_more = False
            return
        self.received_at = self._clock()
        if self._rest:
            data = self._rest + data
        try:
            position = self._receive_preface(data) if self._awaits_preface else 0
            if not self._awaits_preface:
                position = self._receive_frames(data, position)
        except ConnectionFault as fault:
            position = len(data)
            self.has_more = False
            if fault.limit is not None:
                self.owner.on_limit(fault.limit)
            self.abort(fault.code, fault.message)
        self._rest = data[position:]
        if not self.has_failed:
            self._credit_connection()

    def hold(self, data: bytes) -> None:
        """Take bytes from the socket without looking at them: `receive` does, with what it is given next."""
        self._rest += data

    def _receive_preface(self, data: bytes) -> int:
        """Return how many bytes of it have been dealt with."""
        self.spoken = spoken = greeting(data)
        if spoken is Greeting.UNDECIDED:
            return 0
        self._awaits_preface = False
        if spoken is Greeting.HTTP1 and self._http1_answer:
            self._emit(self._http1_answer)
            self.fault = ConnectionFault(ErrorCode.HTTP_1_1_REQUIRED, "the peer speaks HTTP/1")
            self.is_draining = True
            return len(data)
        self._announce()
        if spoken is not Greeting.HTTP2:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
        return len(frames.PREFACE)

    def _receive_frames(self, data: bytes, position: int) -> int:
        """Return where the first incomplete frame begins."""
        length = len(data)
        effort = self.limits.turn_frames
        while effort > 0:
            if not self.is_server and length - position >= FRONT_BYTES and data[position + 3] == frames.DATA:
                position = self._pass_messages(data, position)
            if length - position < frames.HEADER_BYTES:
                break
            head, flags, stream_id = _read_head(data, position)
            if head > _MAX_HEAD:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "frame is too large")
            size = head >> 8
            end = position + 9 + size
            if end > length:
                break
            start, position = position, end
            if flags or head & 0xFF or not self._receive_plain(stream_id, data, start, end):
                self._receive_frame(head & 0xFF, flags, stream_id & frames.MAX_STREAM_ID, data[start + 9 : end])
                if self.has_failed:
                    break
            effort -= _HEADERS_EFFORT + size // _EFFORT_BYTES if head & 0xFF == frames.HEADERS else 1
        self.has_more = effort <= 0 and position < length
        return position

    def _pass_messages(self, data: bytes, position: int) -> int:
        """Pass on the whole messages that come next: nearly all tokens. Return where something else begins."""
        if self._block is not None:
            return position
        now_s, streams, room, length = self.received_at, self.streams, self._receive_window, len(data)
        last = length - FRONT_BYTES
        while position <= last:
            head, flags, stream_id, compressed, message_bytes = read_front(data, position)
            size = message_bytes + 5
            end = position + 9 + size
            if head != size << 8 or flags or compressed or end > length:
                break
            stream = streams.get(stream_id)
            passage = stream.passage if stream is not None else None
            if passage is None or size > passage.open_bytes or size > room:
                break
            onward, connection = passage.onward, passage.connection
            # Nothing is overtaken: a passage opens while nothing waits in `onward`, and what waits later has ended it.
            if size > onward.send_window or size > connection.send_window or connection.is_paused:
                break
            passage.open_bytes -= size
            room -= size
            onward.send_window -= size
            connection.send_window -= size
            out = connection.out
            if not out:
                connection.on_output()
            out += (DATA_HEADS[size], onward.wire_id, data[position + 9 : end])
            passage.passenger.on_passed(now_s)
            position = end
        self._receive_window = room
        return position

    def _receive_plain(self, stream_id: int, data: bytes, start: int, end: int) -> bool:
        """Give DATA without flags to its receiver as it stands. Return False where it has to be looked at."""
        stream = self.streams.get(stream_id)
        size = end - start - 9
        if stream is None or not stream.is_plain or self._block is not None or not size:
            return False
        self._end_passage(stream)
        if size > stream.receive_window or size > self._receive_window:
            return False
        stream.receive_window -= size
        self._receive_window -= size
        stream.receiver.on_data(data, start, end)
        return True

    def _receive_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._block
        if block is not None and (kind != frames.CONTINUATION or stream_id != block.stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted")
        if self._awaits_settings:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._awaits_settings = False
            self._on_settings(flags, stream_id, payload)
            self.owner.on_peer_ready()
            return
        try:
            if kind == frames.HEADERS:
                self._on_headers(flags, stream_id, payload)
            elif kind == frames.DATA:
                self._on_data(flags, stream_id, payload)
            else:
                self._receive_rare(kind, flags, stream_id, payload)
        except StreamFault as fault:
            self._fail_stream(fault)

    def _receive_rare(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if kind != frames.CONTINUATION:
            self._guard.count_idle_frame()
        handler = self._HANDLERS.get(kind)
        if handler is not None:
            handler(self, flags, stream_id, payload)

    # The protocol's own table of frame types, but for the two that every call has; others are ignored (5.5).
    _HANDLERS: ClassVar[dict[int, Callable[["Connection", int, int, bytes], None]]] = {
        frames.PRIORITY: Control._on_priority,
        frames.RST_STREAM: Control._on_rst_stream,
        frames.SETTINGS: Control._on_settings,
        frames.PUSH_PROMISE: Control._on_push_promise,
        frames.PING: Control._on_ping,
        frames.GOAWAY: Control._on_goaway,
        frames.WINDOW_UPDATE: Control._on_window_update,
        frames.CONTINUATION: Control._on_continuation,
    }
