"""The frames of the connection itself: SETTINGS, PING, GOAWAY, and how a connection ends."""

from collections.abc import Callable

from gateway.http2 import frames, settings
from gateway.http2.codec import Codec
from gateway.http2.frames import ConnectionFault, ErrorCode, Setting
from gateway.http2.inbound import Inbound
from gateway.http2.limits import Limits
from gateway.http2.owner import ConnectionOwner
from gateway.http2.streams import State

_DRAIN_PING = b"drain..."


class Control(Inbound):
    """What both sides have agreed on, and whether they go on."""

    def __init__(
        self, owner: ConnectionOwner, *, is_server: bool, limits: Limits, codec: Codec, clock: Callable[[], float]
    ) -> None:
        super().__init__(owner, is_server=is_server, limits=limits, codec=codec, clock=clock)
        self.fault: ConnectionFault | None = None
        """Why we ended the connection."""
        self.peer_streams = frames.MAX_STREAM_ID
        """SETTINGS_MAX_CONCURRENT_STREAMS of the peer."""
        self.is_draining = False
        """No new streams: we have said so by GOAWAY or, to a client, the server has."""
        self._awaits_preface = is_server

    @property
    def has_failed(self) -> bool:
        """There is a fault. Asked again after calls that may have set it, which a type checker does not expect of the
        attribute itself: compiled, it would be taken for what it was."""
        return self.fault is not None

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
        if self._awaits_preface:
            self.abort(ErrorCode.NO_ERROR, "drain")
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
            if self._awaits_preface:
                self._announce()
            last = min(self.last_stream_id, self._refuses_above) if self.is_server else 0
            self._emit(frames.goaway(last, code, message.encode("utf-8", "replace")[:256]))

    def _announce(self) -> None:
        """Say what we take. Our SETTINGS come first (3.4), but a server's not before a peer speaks HTTP/2."""
        self._emit(settings.announcement(self.limits, is_server=self.is_server))

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
