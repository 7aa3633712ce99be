"""The receiving half of a connection: the frames of its streams, and the windows that we give."""

from collections.abc import Callable
from typing import Final

from gateway.errors import Limit
from gateway.http2 import frames
from gateway.http2.block import HeaderBlock
from gateway.http2.codec import Codec
from gateway.http2.decoder import HeaderDecoder
from gateway.http2.field_rules import MalformedMessage, check, is_interim
from gateway.http2.frames import ConnectionFault, ErrorCode, StreamFault
from gateway.http2.guard import Guard
from gateway.http2.headers import FieldList
from gateway.http2.kind import Kind
from gateway.http2.limits import Limits
from gateway.http2.outbound import Outbound
from gateway.http2.owner import ConnectionOwner
from gateway.http2.passage import PASSAGE_BYTES, Passage, Passenger
from gateway.http2.streams import NOBODY, TRANSITIONS, Event, State, Stream, Verdict

_PLAIN_HEADERS: Final = frames.END_STREAM | frames.END_HEADERS
"""Flags of a HEADERS frame that is nothing but its block."""


class Inbound(Outbound):
    """What each frame of a stream does. A breach of a rule is a StreamFault or a ConnectionFault."""

    def __init__(
        self, owner: ConnectionOwner, *, is_server: bool, limits: Limits, codec: Codec, clock: Callable[[], float]
    ) -> None:
        super().__init__(codec.encoder, owner.on_output, is_server=is_server)
        self.owner = owner
        self.limits = limits
        self.last_stream_id: int = 0
        """The highest stream id that the client has opened."""
        self._decoder = HeaderDecoder(codec.cache, limits.header_list_max_bytes)
        self._block: HeaderBlock | None = None
        """Arrived in part: nothing else may come between (6.10)."""
        self._receive_window = limits.connection_window_bytes
        self._refuses_above: int = frames.MAX_STREAM_ID
        """Newer streams are ignored: our last GOAWAY has told the peer (6.8)."""
        self._clock = clock
        self.received_at = 0.0
        """When the bytes came that are being looked at."""
        self._guard = Guard(limits, clock, self)

    def credit(self, stream: Stream, size: int) -> None:
        """Let the peer send `size` bytes more: what it sent has been consumed. Told in halves of the window."""
        stream.uncredited += size
        if stream.uncredited * 2 >= self.limits.stream_window_bytes and stream.is_receiving:
            stream.receive_window += stream.uncredited
            self._emit(frames.window_update(stream.id, stream.uncredited))
            stream.uncredited = 0

    def let_pass(self, stream: Stream, passenger: Passenger, connection: Outbound, onward: Stream) -> None:
        """Whole messages of `stream` go on to `onward`, a stream of `connection`, until the passage ends. The receiver
        is asked again then, and may open the next."""
        if stream.is_plain:
            stream.passage = Passage(passenger, connection, onward, min(PASSAGE_BYTES, stream.receive_window))

    def _end_passage(self, stream: Stream) -> None:
        """Account for what has passed."""
        passage = stream.passage
        if passage is not None:
            stream.passage = None
            passed_bytes = passage.size_bytes - passage.open_bytes
            stream.receive_window -= passed_bytes
            self.credit(stream, passed_bytes)

    def _credit_connection(self) -> None:
        """Streams bound what is kept. The connection's window is given back as soon as bytes are read, so that no
        stream waits for another one's receiver."""
        limit_bytes = self.limits.connection_window_bytes
        if self._receive_window * 2 <= limit_bytes:
            self._emit(frames.window_update(0, limit_bytes - self._receive_window))
            self._receive_window = limit_bytes

    def _reply(self, piece: bytes) -> None:
        """Answer a frame, for as long as the peer reads the answers."""
        self._emit(piece)
        if self.is_paused:
            self._unread_replies += 1
            if self._unread_replies > self.limits.unread_replies:
                raise ConnectionFault(
                    ErrorCode.ENHANCE_YOUR_CALM, "too many answers that nobody reads", Limit.UNREAD_REPLIES
                )

    # The frames, by type.

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """DATA with flags, or for a stream that is not plain; Connection passes on all else."""
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is overrun")
        content = frames.unpadded(flags, payload)
        stream = self._move(stream_id, Event.RECEIVE_DATA)
        if stream is None or not (content or flags & frames.END_STREAM):
            self._guard.count_idle_frame()
        if stream is None:
            return
        if not stream.has_headers:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "DATA before headers")
        self._end_passage(stream)
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamFault(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "the stream's window is overrun")
        _count_content(stream, len(content), is_end=bool(flags & frames.END_STREAM))
        if flags & frames.END_STREAM:
            self._end_remote(stream)
            stream.receiver.on_last_data(content)
        else:
            self.credit(stream, size - len(content))
            if content:
                stream.receiver.on_data(frames.frame(frames.DATA, 0, stream_id, content), 0, 9 + len(content))

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        if not flags & ~_PLAIN_HEADERS and flags & frames.END_HEADERS:
            self._on_block(stream_id, payload, is_end=bool(flags & frames.END_STREAM))
            return
        block = HeaderBlock(flags, stream_id, payload, self.limits)
        if flags & frames.END_HEADERS:
            self._on_whole_block(block)
        else:
            self._block = block

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._block
        if block is None:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        block.add(payload)
        if flags & frames.END_HEADERS:
            self._block = None
            self._on_whole_block(block)

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM is not 4 bytes")
        stream = self._move(stream_id, Event.RECEIVE_RESET)
        if stream is not None:
            if self.is_server and not stream.is_answered and self.received_at - stream.opened_at < self.limits.soon_s:
                self._guard.count_reset()
            self._drop(stream, State.CLOSED)
            stream.receiver.on_reset(frames.read_word(payload))

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE is not 4 bytes")
        increment = frames.read_word(payload) & frames.MAX_WINDOW_BYTES
        code = ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR
        if stream_id == 0:
            self._granted_bytes += increment
            self.send_window += increment
            if increment == 0 or self.send_window > frames.MAX_WINDOW_BYTES:
                raise ConnectionFault(code, "WINDOW_UPDATE of the connection")
        else:
            stream = self._move(stream_id, Event.RECEIVE_WINDOW)
            if stream is None:
                return
            stream.send_window += increment
            if increment == 0 or stream.send_window > frames.MAX_WINDOW_BYTES:
                raise StreamFault(stream_id, code, "WINDOW_UPDATE of a stream")
            self._queue(stream)
        self._pump()

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Ignored (5.3.2), where it is well-formed."""
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != frames.PRIORITY_BYTES:
            raise StreamFault(stream_id, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY is not 5 bytes")
        if frames.read_stream_id(payload) == stream_id:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which we have disabled")

    # Header lists.

    def _on_whole_block(self, block: HeaderBlock) -> None:
        self._on_block(block.stream_id, block.joined(), is_end=block.is_end, is_odd=block.depends_on_itself)

    def _on_block(self, stream_id: int, fragment: bytes, *, is_end: bool, is_odd: bool = False) -> None:
        """A whole header block has arrived. It is decoded whatever its stream, or the table were out of step."""
        self._guard.count_header_block(len(fragment))
        fields = self._decoder.decode(fragment)
        try:
            if stream_id not in self.streams and self._state_of(stream_id) is State.IDLE:
                self._on_new_stream(stream_id, fields, is_end=is_end, is_odd=is_odd)
            else:
                self._on_more_headers(stream_id, fields, is_end=is_end)
        except MalformedMessage as error:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, str(error)) from error

    def _on_new_stream(self, stream_id: int, fields: FieldList, *, is_end: bool, is_odd: bool) -> None:
        if not self.is_server or not stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"the peer may not open stream {stream_id}")
        self.last_stream_id = stream_id
        if stream_id > self._refuses_above:
            return
        if len(self.streams) >= self.limits.streams:
            raise StreamFault(stream_id, ErrorCode.REFUSED_STREAM, "too many streams", Limit.STREAMS_PER_CONNECTION)
        content_bytes = check(fields, Kind.REQUEST)
        if is_odd or (is_end and content_bytes):
            raise MalformedMessage("content that never comes, or a stream that depends on itself")
        stream = Stream(stream_id, self.peer_window_bytes, self.limits.stream_window_bytes, NOBODY)
        stream.opened_at = self.received_at
        self.streams[stream_id] = stream
        _begin_message(stream, content_bytes)
        if is_end:
            self._end_remote(stream)
        self.owner.on_request(stream, fields, is_end)

    def _on_more_headers(self, stream_id: int, fields: FieldList, *, is_end: bool) -> None:
        stream = self._move(stream_id, Event.RECEIVE_HEADERS)
        if stream is None:
            return
        if stream.has_headers:
            check(fields, Kind.TRAILERS)
            if not is_end:
                raise MalformedMessage("trailers that do not end the stream")
            _count_content(stream, 0, is_end=True)
        else:
            content_bytes = check(fields, Kind.RESPONSE)
            if not is_interim(fields):
                # A response that ends here may state the length of what HEAD or 304 leave out.
                _begin_message(stream, None if is_end else content_bytes)
            elif is_end:
                raise MalformedMessage("an interim response that ends the stream")
        if is_end:
            self._end_remote(stream)
        stream.receiver.on_headers(fields, is_end)

    # Streams.

    def _move(self, stream_id: int, event: Event) -> Stream | None:
        """Apply what was received to the stream's state. Return None where the frame is to be ignored."""
        stream = self.streams.get(stream_id)
        outcome = TRANSITIONS[self._state_of(stream_id) if stream is None else stream.state][event]
        if isinstance(outcome, State):
            if stream is not None:
                stream.state = outcome
            return stream
        if outcome is Verdict.STREAM_CLOSED:
            raise StreamFault(stream_id, ErrorCode.STREAM_CLOSED, f"{event.name} after the end")
        if outcome is Verdict.CONNECTION_CLOSED:
            raise ConnectionFault(ErrorCode.STREAM_CLOSED, f"{event.name} on closed stream {stream_id}")
        if outcome is Verdict.PROTOCOL_ERROR:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"{event.name} on idle stream {stream_id}")
        return None

    def _state_of(self, stream_id: int) -> State:
        """Return the state of a stream that is not open."""
        if stream_id > self.last_stream_id or not stream_id & 1:
            return State.IDLE
        if stream_id in self._resets or stream_id > self._refuses_above:
            return State.RESET
        return State.CLOSED

    def _end_remote(self, stream: Stream) -> None:
        if self._move(stream.id, Event.RECEIVE_END) is None:
            return
        stream.is_receiving = stream.is_plain = False
        if stream.state is State.CLOSED:
            self._drop(stream, State.CLOSED)

    def _fail_stream(self, fault: StreamFault) -> None:
        """The peer broke a rule that costs it the stream. Raises ConnectionFault where there is none to reset."""
        if fault.limit is not None:
            self.owner.on_limit(fault.limit)
        self._guard.count_reset()
        stream = self.streams.get(fault.stream_id)
        if stream is not None:
            self.reset(stream, fault.code)
            stream.receiver.on_reset(fault.code)
        elif self._state_of(fault.stream_id) is State.IDLE:
            raise ConnectionFault(fault.code, fault.message)
        else:
            self._emit_reset(fault.stream_id, fault.code)


def _begin_message(stream: Stream, content_bytes: int | None) -> None:
    """The peer's headers have arrived: DATA may follow."""
    stream.has_headers = True
    stream.content_left = content_bytes
    stream.is_plain = content_bytes is None


def _count_content(stream: Stream, size: int, *, is_end: bool) -> None:
    """Hold content-length against what comes (8.1.1)."""
    if stream.content_left is None:
        return
    stream.content_left -= size
    if stream.content_left < 0 or (is_end and stream.content_left):
        raise StreamFault(stream.id, ErrorCode.PROTOCOL_ERROR, "content is not as long as content-length says")
