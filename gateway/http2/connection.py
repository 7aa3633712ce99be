"""One HTTP/2 connection without its socket: bytes in, calls and bytes out. It never waits and has no clock.

A breach of a rule by the peer is handled here: a stream is reset and its receiver told, or the connection gets GOAWAY
and `fault` says why. `receive` raises nothing else, whatever the bytes.
"""

from collections.abc import Callable
from typing import Protocol

from gateway.http2 import frames
from gateway.http2.frames import ConnectionFault, ErrorCode, Setting, StreamFault
from gateway.http2.headers import (
    BlockCache,
    Fields,
    HeaderDecoder,
    HeaderEncoder,
    MalformedMessage,
    check_request,
    check_response,
    check_trailers,
)
from gateway.http2.limits import Limits
from gateway.http2.outbound import Outbound
from gateway.http2.streams import TRANSITIONS, Event, State, Stream, StreamReceiver, Verdict

_unpack_header = frames.HEADER.unpack_from
_DRAIN_PING = b"drain..."


class ConnectionOwner(Protocol):
    """Who holds the socket."""

    def on_output(self) -> None:
        """There is output again. Called from inside other calls: flush later."""
        ...

    def on_request(self, stream: Stream, fields: Fields, is_end: bool) -> None:
        """Servers: a request has begun. Sets `stream.receiver`."""
        ...

    def on_peer_ready(self) -> None:
        """The peer's first SETTINGS are in force."""
        ...

    def on_goaway(self, code: int, debug: bytes) -> None:
        """The peer takes no new streams. Those that it cannot have processed were told REFUSED_STREAM."""
        ...

    def on_ping_ack(self, payload: bytes) -> None: ...


class Connection(Outbound):
    """A server's or a client's side, by `is_server`."""

    def __init__(
        self, owner: ConnectionOwner, *, is_server: bool, limits: Limits, encoder: HeaderEncoder, cache: BlockCache
    ) -> None:
        super().__init__(encoder, owner.on_output)
        self.owner = owner
        self.is_server = is_server
        self.limits = limits
        self.fault: ConnectionFault | None = None
        """Why we ended the connection."""
        self.peer_streams = frames.MAX_STREAM_ID
        """SETTINGS_MAX_CONCURRENT_STREAMS of the peer."""
        self.is_draining = False
        """One side has sent GOAWAY: no new streams."""
        self.last_stream_id = 0
        """The highest stream id that the client has opened."""
        self._decoder = HeaderDecoder(cache, limits.header_list_max_bytes)
        self._rest = b""
        self._awaits_preface = is_server
        self._awaits_settings = True
        self._receive_window = limits.connection_window_bytes
        self._uncredited = 0
        self._block: bytearray | None = None
        self._block_stream_id = 0
        self._block_flags = 0
        self._block_frames = 0
        self._refuses_above = frames.MAX_STREAM_ID
        self._begin()

    def _begin(self) -> None:
        values = [
            (Setting.HEADER_TABLE_SIZE, 0),
            (Setting.INITIAL_WINDOW_SIZE, self.limits.stream_window_bytes),
            (Setting.MAX_HEADER_LIST_SIZE, self.limits.header_list_bytes),
        ]
        if self.is_server:
            values.append((Setting.MAX_CONCURRENT_STREAMS, self.limits.streams))
        else:
            values.append((Setting.ENABLE_PUSH, 0))
            self._emit(frames.PREFACE)
        self._emit(frames.settings(values))
        extra_bytes = self.limits.connection_window_bytes - frames.DEFAULT_WINDOW_BYTES
        if extra_bytes:
            self._emit(frames.window_update(0, extra_bytes))

    # What the owner asks for.

    def open_stream(self, fields: Fields, receiver: StreamReceiver, *, is_end: bool = False) -> Stream:
        """Clients: begin a request. `can_open` must hold."""
        self.last_stream_id += 2 if self.last_stream_id else 1
        stream = Stream(self.last_stream_id, self.peer_window_bytes, self.limits.stream_window_bytes, receiver)
        self.streams[stream.id] = stream
        self.send_headers(stream, fields, is_end=is_end)
        return stream

    @property
    def can_open(self) -> bool:
        """Clients: the peer takes one more stream now."""
        return not self.is_draining and len(self.streams) < self.peer_streams and not self.is_exhausted

    @property
    def is_exhausted(self) -> bool:
        """Stream ids are used up (5.1.1): the connection has to be replaced."""
        return self.last_stream_id >= frames.MAX_STREAM_ID - 2

    @property
    def is_finished(self) -> bool:
        """Nothing will happen here any more: the socket can be closed."""
        if self.fault is not None:
            return True
        is_last = not self.is_server or self._refuses_above < frames.MAX_STREAM_ID
        return self.is_draining and is_last and not self.streams

    def credit(self, stream: Stream, size: int) -> None:
        """Let the peer send `size` bytes more: what it sent has been consumed. Told in halves of the window."""
        stream.uncredited += size
        if stream.uncredited * 2 >= self.limits.stream_window_bytes and stream.is_receiving:
            stream.receive_window += stream.uncredited
            self._emit(frames.window_update(stream.id, stream.uncredited))
            stream.uncredited = 0

    def ping(self, payload: bytes) -> None:
        self._emit(frames.frame(frames.PING, 0, 0, payload))

    def drain(self) -> None:
        """Take no new streams, in two phases, so that those already on their way are served (6.8)."""
        if not self.is_draining:
            self.is_draining = True
            self._emit(frames.goaway(frames.MAX_STREAM_ID, ErrorCode.NO_ERROR, b"drain"))
            self.ping(_DRAIN_PING)

    def abort(self, code: ErrorCode, message: str) -> None:
        """End the connection now; its receivers are the owner's to tell."""
        if self.fault is None:
            self.fault = ConnectionFault(code, message)
            self.is_draining = True
            last = self.last_stream_id if self.is_server else 0
            self._emit(frames.goaway(last, code, message.encode("utf-8", "replace")[:256]))

    # What the peer sends.

    def receive(self, data: bytes) -> None:
        """Take bytes from the socket, cut anywhere."""
        if self._rest:
            data = self._rest + data
        try:
            position = self._receive_frames(data, self._receive_preface(data))
        except ConnectionFault as fault:
            self._rest = b""
            self.abort(fault.code, fault.message)
            return
        self._rest = data[position:]
        if self._uncredited * 2 >= self.limits.connection_window_bytes:
            self._receive_window += self._uncredited
            self._emit(frames.window_update(0, self._uncredited))
            self._uncredited = 0

    def _receive_preface(self, data: bytes) -> int:
        if not self._awaits_preface:
            return 0
        if not data.startswith(frames.PREFACE):
            if frames.PREFACE.startswith(data):
                return 0
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
        self._awaits_preface = False
        return len(frames.PREFACE)

    def _receive_frames(self, data: bytes, position: int) -> int:
        """Return where the first incomplete frame begins."""
        length = len(data)
        if self._awaits_preface:
            return position
        streams = self.streams
        while length - position >= 9 and self.fault is None:
            high, low, kind, flags, stream_id = _unpack_header(data, position)
            size = high << 8 | low
            if size > frames.MAX_FRAME_BYTES:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "frame is too large")
            end = position + 9 + size
            if end > length:
                break
            if kind == 0 and not flags and self._block is None:
                stream = streams.get(stream_id)
                if stream is not None and stream.is_receiving and stream.has_headers:
                    self._receive_window -= size
                    self._uncredited += size
                    stream.receive_window -= size
                    if stream.receive_window < 0 or self._receive_window < 0:
                        self._overrun(stream)
                    else:
                        stream.receiver.on_data(data, position, end)
                    position = end
                    continue
            try:
                self._receive_frame(kind, flags, stream_id & frames.MAX_STREAM_ID, data[position + 9 : end])
            except StreamFault as fault:
                self._fail_stream(fault)
            position = end
        return position if self.fault is None else length

    def _receive_frame(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is not None and (kind != frames.CONTINUATION or stream_id != self._block_stream_id):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a header block was interrupted")
        if self._awaits_settings:
            if kind != frames.SETTINGS or flags & frames.ACK:
                raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame is not SETTINGS")
            self._awaits_settings = False
            self._on_settings(flags, stream_id, payload)
            self.owner.on_peer_ready()
            return
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, flags, stream_id, payload)

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

    def _on_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """DATA with flags, or for a stream that is not receiving; all else is forwarded by _receive_frames."""
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "DATA on stream 0")
        size = len(payload)
        self._receive_window -= size
        self._uncredited += size
        if self._receive_window < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is overrun")
        content = frames.unpadded(flags, payload)
        stream = self._move(stream_id, Event.RECEIVE_DATA)
        if stream is None:
            return
        if not stream.has_headers:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, "DATA before headers")
        stream.receive_window -= size
        if stream.receive_window < 0:
            self._overrun(stream)
            return
        self.credit(stream, size - len(content))
        if flags & frames.END_STREAM:
            self._end_remote(stream)
            stream.receiver.on_last_data(content)
        elif content:
            whole = frames.frame(frames.DATA, 0, stream_id, content)
            stream.receiver.on_data(whole, 0, len(whole))

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        content = frames.unpadded(flags, payload)
        if flags & frames.HAS_PRIORITY:
            if len(content) < 5:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
            content = content[5:]
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        self._block = bytearray(content)
        self._block_stream_id = stream_id
        self._block_flags = flags
        self._block_frames = 0
        if flags & frames.END_HEADERS:
            self._end_block()

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
        self._block += payload
        self._block_frames += 1
        # Checked while it arrives: CONTINUATION floods never set END_HEADERS (CVE-2024-27316 and its kin).
        if (
            len(self._block) > self.limits.header_list_max_bytes
            or self._block_frames > self.limits.continuation_frames
        ):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header block is too large")
        if flags & frames.END_HEADERS:
            self._end_block()

    def _end_block(self) -> None:
        """A whole header block has arrived. It is decoded whatever its stream, or the table were out of step."""
        block, self._block = self._block, None
        fields = self._decoder.decode(bytes(block or b""))
        stream_id = self._block_stream_id
        is_end = bool(self._block_flags & frames.END_STREAM)
        try:
            if stream_id not in self.streams and self._state_of(stream_id) is State.IDLE:
                self._on_new_stream(stream_id, fields, is_end)
            else:
                self._on_more_headers(stream_id, fields, is_end)
        except MalformedMessage as error:
            raise StreamFault(stream_id, ErrorCode.PROTOCOL_ERROR, str(error)) from error

    def _on_new_stream(self, stream_id: int, fields: Fields, is_end: bool) -> None:
        if not self.is_server or not stream_id & 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"the peer may not open stream {stream_id}")
        self.last_stream_id = stream_id
        if stream_id > self._refuses_above:
            return
        if len(self.streams) >= self.limits.streams:
            self._resets.append(stream_id)
            raise StreamFault(stream_id, ErrorCode.REFUSED_STREAM, "too many streams")
        check_request(fields)
        stream = Stream(stream_id, self.peer_window_bytes, self.limits.stream_window_bytes, _NOBODY)
        stream.has_headers = True
        self.streams[stream_id] = stream
        if is_end:
            self._end_remote(stream)
        self.owner.on_request(stream, fields, is_end)

    def _on_more_headers(self, stream_id: int, fields: Fields, is_end: bool) -> None:
        stream = self._move(stream_id, Event.RECEIVE_HEADERS)
        if stream is None:
            return
        if stream.has_headers:
            if not is_end:
                raise MalformedMessage("trailers that do not end the stream")
            check_trailers(fields)
        else:
            check_response(fields)
            is_interim = fields[0][1].startswith(b"1")
            if is_interim and is_end:
                raise MalformedMessage("an interim response that ends the stream")
            stream.has_headers = not is_interim
        if is_end:
            self._end_remote(stream)
        stream.receiver.on_headers(fields, is_end)

    def _end_remote(self, stream: Stream) -> None:
        if self._move(stream.id, Event.RECEIVE_END) is not None:
            stream.is_receiving = False
            if stream.state is State.CLOSED:
                self._drop(stream, State.CLOSED)

    def _overrun(self, stream: Stream) -> None:
        if self._receive_window < 0:
            raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "the connection's window is overrun")
        self._fail_stream(StreamFault(stream.id, ErrorCode.FLOW_CONTROL_ERROR, "the stream's window is overrun"))

    def _fail_stream(self, fault: StreamFault) -> None:
        stream = self.streams.get(fault.stream_id)
        if stream is None:
            self._resets.append(fault.stream_id)
            self._emit(frames.rst_stream(fault.stream_id, fault.code))
        else:
            self.reset(stream, fault.code)
            stream.receiver.on_reset(fault.code)

    def _on_rst_stream(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM is not 4 bytes")
        stream = self._move(stream_id, Event.RECEIVE_RESET)
        if stream is not None:
            self._drop(stream, State.CLOSED)
            stream.receiver.on_reset(frames.read_word(payload))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if len(payload) % 6 or (flags & frames.ACK and payload):
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong size")
        if flags & frames.ACK:
            self._decoder.forbid_table()
            return
        for key, value in frames.read_settings(payload):
            self._apply_setting(key, value)
        self._emit(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _apply_setting(self, key: int, value: int) -> None:
        if key == Setting.INITIAL_WINDOW_SIZE:
            if value > frames.MAX_WINDOW_BYTES:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE above 2^31-1")
            self._change_initial_window(value)
        elif key == Setting.MAX_CONCURRENT_STREAMS:
            self.peer_streams = value
        elif key == Setting.ENABLE_PUSH and value > (1 if self.is_server else 0):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH")
        elif key == Setting.MAX_FRAME_SIZE and not frames.MAX_FRAME_BYTES <= value <= 2**24 - 1:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE")

    def _change_initial_window(self, size: int) -> None:
        delta = size - self.peer_window_bytes
        self.peer_window_bytes = size
        for stream in list(self.streams.values()):
            stream.send_window += delta
            if stream.send_window > frames.MAX_WINDOW_BYTES:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window above 2^31-1")
        if delta > 0:
            self._pump_blocked()

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING is not 8 bytes")
        if not flags & frames.ACK:
            self._emit(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif payload == _DRAIN_PING and self.is_draining and self.is_server:
            self._refuses_above = self.last_stream_id
            self._emit(frames.goaway(self.last_stream_id, ErrorCode.NO_ERROR, b"drain"))
        else:
            self.owner.on_ping_ack(payload)

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is too short")
        self.is_draining = True
        last = frames.read_word(payload) & frames.MAX_STREAM_ID
        if not self.is_server:
            for stream in [s for s in self.streams.values() if s.id > last]:
                self._drop(stream, State.CLOSED)
                stream.receiver.on_reset(ErrorCode.REFUSED_STREAM)
        self.owner.on_goaway(frames.read_word(payload, 4), payload[8:])

    def _on_window_update(self, flags: int, stream_id: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE is not 4 bytes")
        increment = frames.read_word(payload) & frames.MAX_WINDOW_BYTES
        if stream_id == 0:
            self.send_window += increment
            if increment == 0 or self.send_window > frames.MAX_WINDOW_BYTES:
                raise ConnectionFault(_window_code(increment), "WINDOW_UPDATE of the connection")
            self._pump_blocked()
            return
        stream = self._move(stream_id, Event.RECEIVE_WINDOW)
        if stream is not None:
            stream.send_window += increment
            if increment == 0 or stream.send_window > frames.MAX_WINDOW_BYTES:
                raise StreamFault(stream_id, _window_code(increment), "WINDOW_UPDATE of a stream")
            if stream.pending:
                self._pump(stream)

    def _on_priority(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise StreamFault(stream_id, ErrorCode.FRAME_SIZE_ERROR, "PRIORITY is not 5 bytes")

    def _on_push_promise(self, flags: int, stream_id: int, payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which we have disabled")


def _window_code(increment: int) -> ErrorCode:
    return ErrorCode.FLOW_CONTROL_ERROR if increment else ErrorCode.PROTOCOL_ERROR


class _Nobody:
    """Receives for a stream whose owner has not set a receiver: a reset may come first."""

    def on_headers(self, fields: Fields, is_end: bool) -> None: ...
    def on_data(self, data: bytes, start: int, end: int) -> None: ...
    def on_last_data(self, payload: bytes) -> None: ...
    def on_reset(self, code: int) -> None: ...
    def on_sent(self, size: int) -> None: ...
    def on_connection_lost(self) -> None: ...


_NOBODY = _Nobody()
# The protocol's own table of frame types; others are ignored (5.5).
_HANDLERS: dict[int, Callable[[Connection, int, int, bytes], None]] = {
    frames.DATA: Connection._on_data,
    frames.HEADERS: Connection._on_headers,
    frames.PRIORITY: Connection._on_priority,
    frames.RST_STREAM: Connection._on_rst_stream,
    frames.SETTINGS: Connection._on_settings,
    frames.PUSH_PROMISE: Connection._on_push_promise,
    frames.PING: Connection._on_ping,
    frames.GOAWAY: Connection._on_goaway,
    frames.WINDOW_UPDATE: Connection._on_window_update,
    frames.CONTINUATION: Connection._on_continuation,
}
