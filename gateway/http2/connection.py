"""One HTTP/2 connection without its socket: bytes in, calls and bytes out. It never waits.

A breach of a rule by the peer is handled here: a stream is reset and its receiver told, or the connection gets GOAWAY
and `fault` says why. `receive` raises nothing else, whatever the bytes.
"""

from collections.abc import Callable
from typing import ClassVar

from gateway.http2 import frames, settings
from gateway.http2.frames import ConnectionFault, ErrorCode, Setting, StreamFault
from gateway.http2.headers import Codec, Fields
from gateway.http2.inbound import Inbound
from gateway.http2.limits import Limits
from gateway.http2.owner import ConnectionOwner
from gateway.http2.preface import Greeting, greeting
from gateway.http2.streams import State, Stream, StreamReceiver

__all__ = ["Connection", "ConnectionOwner"]

_unpack_head = frames.HEAD.unpack_from
_MAX_HEAD = frames.MAX_FRAME_BYTES << 8 | 0xFF
_DRAIN_PING = b"drain..."


class Connection(Inbound):
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
        """`clock` is monotonic, seconds; it is never asked for a token. `http1_answer` goes to a peer that speaks
        HTTP/1 to a server."""
        super().__init__(owner, is_server=is_server, limits=limits, codec=codec, clock=clock)
        self.fault: ConnectionFault | None = None
        """Why we ended the connection."""
        self.peer_streams = frames.MAX_STREAM_ID
        """SETTINGS_MAX_CONCURRENT_STREAMS of the peer."""
        self.is_draining = False
        """No new streams: we have said so by GOAWAY or, to a client, the server has."""
        self._http1_answer = http1_answer
        self._rest = b""
        self._awaits_preface = is_server
        self._awaits_settings = True
        if not is_server:
            self._emit(frames.PREFACE + settings.announcement(limits, is_server=False))

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
        return self.last_stream_id >= frames.MAX_STREAM_ID

    @property
    def is_finished(self) -> bool:
        """Nothing will happen here any more: the socket can be closed."""
        if self.fault is not None:
            return True
        is_last = not self.is_server or self._refuses_above < frames.MAX_STREAM_ID
        return self.is_draining and is_last and not self.streams

    def ping(self, payload: bytes) -> None:
        """Ask for an answer; `payload` has 8 bytes."""
        self._emit(frames.frame(frames.PING, 0, 0, payload))

    def drain(self) -> None:
        """Take no new streams. A server says so in two phases, so that those already on their way are served (6.8)."""
        if self.is_draining:
            return
        self.is_draining = True
        if self.is_server:
            self._emit(frames.goaway(frames.MAX_STREAM_ID, ErrorCode.NO_ERROR, b"drain"))
            self.ping(_DRAIN_PING)
        else:
            self._emit(frames.goaway(0, ErrorCode.NO_ERROR, b"drain"))

    def abort(self, code: ErrorCode, message: str) -> None:
        """End the connection now; its receivers are the owner's to tell."""
        if self.fault is None:
            self.fault = ConnectionFault(code, message)
            self.is_draining = True
            last = min(self.last_stream_id, self._refuses_above) if self.is_server else 0
            self._emit(frames.goaway(last, code, message.encode("utf-8", "replace")[:256]))

    # What the peer sends.

    def receive(self, data: bytes) -> None:
        """Take bytes from the socket, cut anywhere."""
        if self.fault is not None:
            return
        if self._rest:
            data = self._rest + data
        try:
            position = self._receive_preface(data) if self._awaits_preface else 0
            if not self._awaits_preface:
                position = self._receive_frames(data, position)
        except ConnectionFault as fault:
            position = len(data)
            self.abort(fault.code, fault.message)
        self._rest = data[position:]
        if self.fault is None:
            self._credit_connection()

    def _receive_preface(self, data: bytes) -> int:
        """Return how many bytes of it have been dealt with."""
        spoken = greeting(data)
        if spoken is Greeting.UNDECIDED:
            return 0
        self._awaits_preface = False
        if spoken is Greeting.HTTP1 and self._http1_answer:
            self._emit(self._http1_answer)
            self.fault = ConnectionFault(ErrorCode.HTTP_1_1_REQUIRED, "the peer speaks HTTP/1")
            return len(data)
        # Not earlier: only a peer that speaks HTTP/2 can make sense of it.
        self._emit(settings.announcement(self.limits, is_server=True))
        if spoken is not Greeting.HTTP2:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
        return len(frames.PREFACE)

    def _receive_frames(self, data: bytes, position: int) -> int:
        """Return where the first incomplete frame begins. DATA of a plain stream, which is every token, goes from here
        to its receiver; all else is for `_receive_frame`."""
        length = len(data)
        streams = self.streams
        room = self._receive_window
        in_block = self._block is not None
        while length - position >= 9:
            head, flags, stream_id = _unpack_head(data, position)
            if head > _MAX_HEAD:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "frame is too large")
            size = head >> 8
            end = position + 9 + size
            if end > length:
                break
            if size and not (flags or head & 0xFF or in_block):
                stream = streams.get(stream_id)
                if stream is not None and stream.is_plain and size <= stream.receive_window and size <= room:
                    stream.receive_window -= size
                    room -= size
                    stream.receiver.on_data(data, position, end)
                    position = end
                    continue
            self._receive_window = room
            try:
                self._receive_frame(head & 0xFF, flags, stream_id & frames.MAX_STREAM_ID, data[position + 9 : end])
            except StreamFault as fault:
                self._fail_stream(fault)
            position = end
            if self.fault is not None:
                break
            room = self._receive_window
            in_block = self._block is not None
        self._receive_window = room
        return position

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
        if kind > frames.HEADERS and kind != frames.CONTINUATION:
            self._guard.count_idle_frame()
        handler = self._HANDLERS.get(kind)
        if handler is not None:
            handler(self, flags, stream_id, payload)

    # The frames of the connection, by type; those of its streams are Inbound's.

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS with ACK and a payload")
            # We send SETTINGS once, so the first ACK is for them; others change nothing.
            self._decoder.forbid_table()
            return
        self._guard.count_settings()
        values = settings.read(payload, from_client=self.is_server)
        self.peer_streams = values.get(Setting.MAX_CONCURRENT_STREAMS, self.peer_streams)
        # The peer may hold us to a wider window only once it has our ACK.
        self._reply(frames.frame(frames.SETTINGS, frames.ACK, 0))
        self._change_initial_window(values.get(Setting.INITIAL_WINDOW_SIZE, self.peer_window_bytes))

    def _change_initial_window(self, size: int) -> None:
        """Windows of open streams change by the difference, and may become negative (6.9.2)."""
        delta = size - self.peer_window_bytes
        if not delta:
            return
        self.peer_window_bytes = size
        for stream in self.streams.values():
            stream.send_window += delta
            if stream.send_window > frames.MAX_WINDOW_BYTES:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a stream's window above 2^31-1")
            self._queue(stream)
        self._pump()

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "PING is not 8 bytes")
        if not flags & frames.ACK:
            self._reply(frames.frame(frames.PING, frames.ACK, 0, payload))
        elif payload == _DRAIN_PING and self.is_draining and self.is_server:
            self._finish_drain()
        else:
            self.owner.on_ping_ack(payload)

    def _finish_drain(self) -> None:
        """The peer has seen our first GOAWAY: what it has opened by now is what we serve."""
        if self._refuses_above == frames.MAX_STREAM_ID:
            self._refuses_above = self.last_stream_id
            self._emit(frames.goaway(self.last_stream_id, ErrorCode.NO_ERROR, b"drain"))

    def _on_goaway(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        if len(payload) < 8:
            raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY is too short")
        if not self.is_server:
            self.is_draining = True
            self._leave_unprocessed(frames.read_stream_id(payload))
        self.owner.on_goaway(frames.read_word(payload, 4), payload[8:])

    def _leave_unprocessed(self, last_stream_id: int) -> None:
        """The server has not looked at any stream above (6.8)."""
        for stream in [s for s in self.streams.values() if s.id > last_stream_id]:
            self._drop(stream, State.RESET)
            self._resets.add(stream.id)
            stream.receiver.on_reset(ErrorCode.REFUSED_STREAM)

    # The protocol's own table of frame types; others are ignored (5.5).
    _HANDLERS: ClassVar[dict[int, Callable[["Connection", int, int, bytes], None]]] = {
        frames.DATA: Inbound._on_data,
        frames.HEADERS: Inbound._on_headers,
        frames.PRIORITY: Inbound._on_priority,
        frames.RST_STREAM: Inbound._on_rst_stream,
        frames.SETTINGS: _on_settings,
        frames.PUSH_PROMISE: Inbound._on_push_promise,
        frames.PING: _on_ping,
        frames.GOAWAY: _on_goaway,
        frames.WINDOW_UPDATE: Inbound._on_window_update,
        frames.CONTINUATION: Inbound._on_continuation,
    }
