"""Against the h2 library: whatever both sides may do, in any order and cut anywhere, they agree."""

from collections.abc import Callable
from dataclasses import dataclass, field

import h2.events as h2e
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from gateway.http2.codec import Codec
from gateway.http2.connection import Connection
from gateway.http2.frames import ErrorCode
from gateway.http2.headers import Fields
from gateway.http2.limits import Limits
from gateway.http2.streams import Stream
from tests.gateway.http2.raw_peer import REQUEST, RESPONSE, TRAILERS, Owner, Recorder

LIMITS = Limits(streams=50, stream_window_bytes=70_000, connection_window_bytes=100_000)
SIZES = st.sampled_from([0, 1, 100, 16_384, 40_000])
METADATA = st.sampled_from(
    [
        (),
        ((b"key", b"v" * 300),),
        ((b"a-bin", b"AAEC"), (b"key", b"1"), (b"a-bin", b""), (b"key", b"1")),
        ((b"big", b"x" * 20_000),),
    ]
)
CANCEL = ErrorCode.CANCEL


def pattern(position: int, size: int) -> bytes:
    """Return content that shows what is lost or comes twice."""
    return (bytes(range(251)) * (size // 251 + 2))[position % 251 :][:size]


@dataclass
class Talk:
    """One stream, as both sides have it."""

    stream: Stream | None = None
    heard: Recorder = field(default_factory=Recorder)
    said: bytes = b""
    """By the connection under test."""
    has_begun: bool = False
    has_ended: bool = False
    peer_heard: bytes = b""
    peer_said: bytes = b""
    peer_has_begun: bool = False
    peer_has_ended: bool = False
    peer_saw_end: bool = False
    is_reset: bool = False
    uncredited: int = 0
    """Of what it received, by the connection under test."""
    peer_uncredited: int = 0
    said_fields: list[Fields] = field(default_factory=list[Fields])
    """Header lists, in order."""
    heard_fields: list[Fields] = field(default_factory=list[Fields])
    peer_said_fields: list[Fields] = field(default_factory=list[Fields])
    peer_heard_fields: list[Fields] = field(default_factory=list[Fields])


class Duel(RuleBasedStateMachine):
    """Rules are what either side may do now; `settle` lets everything arrive."""

    is_server: bool

    def __init__(self) -> None:
        super().__init__()
        self.owner = Owner()
        self.ours = Connection(self.owner, is_server=self.is_server, limits=LIMITS, codec=Codec(), clock=lambda: 0.0)
        self.peer = H2Connection(H2Configuration(client_side=self.is_server, header_encoding=False))
        self.peer.initiate_connection()
        self.to_ours = self.to_peer = b""
        self.talks: dict[int, Talk] = {}
        self.deliver(10**6, 10**6)

    # The wire.

    @rule(to_ours=st.integers(0, 30_000), to_peer=st.integers(0, 30_000))
    def deliver(self, to_ours: int, to_peer: int) -> None:
        self.to_ours += self.peer.data_to_send()
        chunk, self.to_ours = self.to_ours[:to_ours], self.to_ours[to_ours:]
        self.ours.receive(chunk)
        self._meet_requests()
        self.to_peer += b"".join(self.ours.take_output())
        chunk, self.to_peer = self.to_peer[:to_peer], self.to_peer[to_peer:]
        for event in self.peer.receive_data(chunk):
            self._peer_sees(event)

    def _meet_requests(self) -> None:
        for stream, fields, _ in self.owner.requests:
            talk = self.talks[stream.id]
            talk.stream = stream
            talk.heard_fields.append(fields)
            assert isinstance(stream.receiver, Recorder)
            talk.heard = stream.receiver
        self.owner.requests.clear()
        for talk in self.talks.values():
            talk.is_reset |= any(event[0] == "reset" for event in talk.heard.events)

    def _peer_sees(self, event: h2e.Event) -> None:
        stream_id = getattr(event, "stream_id", None)
        talk = self.talks.get(stream_id) if isinstance(stream_id, int) else None
        match event:
            case h2e.RequestReceived() | h2e.ResponseReceived() | h2e.TrailersReceived():
                assert talk is not None
                talk.peer_heard_fields.append([(bytes(name), bytes(value)) for name, value in event.headers or ()])
            case h2e.DataReceived(data=data, flow_controlled_length=length) if talk:
                talk.peer_heard += data
                talk.peer_uncredited += length or 0
            case h2e.StreamEnded() if talk:
                talk.peer_saw_end = True
            case h2e.StreamReset() if talk:
                talk.is_reset = True
            case h2e.ConnectionTerminated():
                raise AssertionError(f"{event}: {self.ours.fault}")
            case _:
                pass

    # What the connection under test does.

    def _our_turn(self, can: Callable[[Talk], bool]) -> list[Talk]:
        open_ids = self.ours.streams
        return [talk for talk in self.talks.values() if talk.stream and talk.stream.id in open_ids and can(talk)]

    @precondition(lambda self: not self.is_server and len(self.talks) < 8)
    @rule(is_end=st.booleans(), metadata=METADATA)
    def we_open(self, is_end: bool, metadata: Fields) -> None:
        talk = Talk(has_begun=True, has_ended=is_end, said_fields=[[*REQUEST, *metadata]])
        talk.stream = self.ours.open_stream(talk.said_fields[0], talk.heard, is_end=is_end)
        self.talks[talk.stream.id] = talk

    @rule(data=st.data(), metadata=METADATA)
    def we_answer(self, data: st.DataObject, metadata: Fields) -> None:
        if talks := self._our_turn(lambda talk: not talk.has_begun):
            talk = data.draw(st.sampled_from(talks))
            assert talk.stream
            talk.has_begun = True
            talk.said_fields.append([*RESPONSE, *metadata])
            self.ours.send_headers(talk.stream, talk.said_fields[-1])

    @rule(data=st.data(), size=SIZES, is_end=st.booleans())
    def we_send(self, data: st.DataObject, size: int, is_end: bool) -> None:
        if talks := self._our_turn(lambda talk: talk.has_begun and not talk.has_ended):
            talk = data.draw(st.sampled_from(talks))
            assert talk.stream
            payload = pattern(len(talk.said), size)
            talk.said += payload
            talk.has_ended = is_end
            self.ours.send_data(talk.stream, payload, is_end=is_end)

    @rule(data=st.data(), metadata=METADATA)
    def we_end_by_trailers(self, data: st.DataObject, metadata: Fields) -> None:
        if talks := self._our_turn(lambda talk: talk.has_begun and not talk.has_ended):
            talk = data.draw(st.sampled_from(talks))
            assert talk.stream
            talk.has_ended = True
            talk.said_fields.append([*TRAILERS, *metadata])
            self.ours.send_headers(talk.stream, talk.said_fields[-1], is_end=True)

    @rule(data=st.data())
    def we_cancel(self, data: st.DataObject) -> None:
        if talks := self._our_turn(lambda talk: True):
            talk = data.draw(st.sampled_from(talks))
            assert talk.stream
            talk.is_reset = True
            self.ours.reset(talk.stream, CANCEL)

    @rule(share=st.integers(1, 4))
    def we_credit(self, share: int) -> None:
        for talk in self._our_turn(lambda talk: True):
            assert talk.stream
            received = len(talk.heard.content)
            size = (received - talk.uncredited) // share
            talk.uncredited += size
            self.ours.credit(talk.stream, size)

    @rule()
    def our_socket_is_full(self) -> None:
        self.ours.pause()

    @rule()
    def our_socket_takes_more(self) -> None:
        self.ours.resume()

    # What the peer does.

    def _peer_turn(self, can: Callable[[Talk], bool]) -> list[int]:
        return [stream_id for stream_id, talk in self.talks.items() if not talk.is_reset and can(talk)]

    @precondition(lambda self: self.is_server and len(self.talks) < 8)
    @rule(is_end=st.booleans(), metadata=METADATA)
    def peer_opens(self, is_end: bool, metadata: Fields) -> None:
        stream_id = self.peer.get_next_available_stream_id()
        fields = [*REQUEST, *metadata]
        self.talks[stream_id] = Talk(peer_has_begun=True, peer_has_ended=is_end, peer_said_fields=[fields])
        self.peer.send_headers(stream_id, fields, end_stream=is_end)

    @rule(data=st.data(), metadata=METADATA, is_end=st.booleans())
    def peer_answers(self, data: st.DataObject, metadata: Fields, is_end: bool) -> None:
        ready = self._peer_turn(lambda talk: not talk.peer_has_begun)
        if ready := [stream_id for stream_id in ready if self._peer_knows(stream_id)]:
            stream_id = data.draw(st.sampled_from(ready))
            talk = self.talks[stream_id]
            talk.peer_has_begun = True
            talk.peer_has_ended = is_end
            talk.peer_said_fields.append([*RESPONSE, *metadata])
            self.peer.send_headers(stream_id, talk.peer_said_fields[-1], end_stream=is_end)

    @rule(data=st.data(), metadata=METADATA)
    def peer_ends_by_trailers(self, data: st.DataObject, metadata: Fields) -> None:
        if ready := self._peer_turn(lambda talk: talk.peer_has_begun and not talk.peer_has_ended):
            stream_id = data.draw(st.sampled_from(ready))
            talk = self.talks[stream_id]
            talk.peer_has_ended = True
            talk.peer_said_fields.append([*TRAILERS, *metadata])
            self.peer.send_headers(stream_id, talk.peer_said_fields[-1], end_stream=True)

    @rule(data=st.data(), size=SIZES, padding=st.sampled_from([None, 0, 7, 255]), is_end=st.booleans())
    def peer_sends(self, data: st.DataObject, size: int, padding: int | None, is_end: bool) -> None:
        if ready := self._peer_turn(lambda talk: talk.peer_has_begun and not talk.peer_has_ended):
            stream_id = data.draw(st.sampled_from(ready))
            talk = self.talks[stream_id]
            overhead = 0 if padding is None else padding + 1
            room = self.peer.local_flow_control_window(stream_id) - overhead
            if room < 0:
                return
            payload = pattern(len(talk.peer_said), min(size, room, self.peer.max_outbound_frame_size - overhead))
            talk.peer_said += payload
            talk.peer_has_ended = is_end
            self.peer.send_data(stream_id, payload, end_stream=is_end, pad_length=padding)

    @rule(data=st.data())
    def peer_cancels(self, data: st.DataObject) -> None:
        ready = self._peer_turn(lambda talk: not (talk.peer_has_ended and talk.peer_saw_end))
        if ready := [stream_id for stream_id in ready if self._peer_knows(stream_id)]:
            stream_id = data.draw(st.sampled_from(ready))
            self.talks[stream_id].is_reset = True
            self.peer.reset_stream(stream_id, ErrorCodes.CANCEL)

    @rule(share=st.integers(1, 4))
    def peer_credits(self, share: int) -> None:
        for stream_id, talk in self.talks.items():
            size = talk.peer_uncredited // share
            talk.peer_uncredited -= size
            if size:
                self.peer.acknowledge_received_data(size, stream_id)

    @rule(size=st.sampled_from([0, 1, 1_000, 65_535, 200_000]))
    def peer_changes_the_window(self, size: int) -> None:
        self.peer.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: size})

    @rule()
    def peer_pings(self) -> None:
        self.peer.ping(b"peerping")

    def _peer_knows(self, stream_id: int) -> bool:
        return stream_id in self.peer.streams

    # What must hold.

    @invariant()
    def nobody_is_at_fault(self) -> None:
        assert self.ours.fault is None

    def teardown(self) -> None:
        """Everything arrives, once everybody takes what there is."""
        self.ours.resume()
        self.peer.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100_000})
        for _ in range(40):
            self.deliver(10**7, 10**7)
            self.peer_credits(1)
            self.we_credit(1)
        for talk in self.talks.values():
            if not talk.is_reset:
                self._compare(talk)
        self._compare_windows()

    def _compare(self, talk: Talk) -> None:
        assert talk.peer_heard_fields == talk.said_fields
        assert [list(fields) for fields in (*talk.heard_fields, *talk.heard.header_lists)] == talk.peer_said_fields
        assert talk.peer_heard == talk.said
        assert talk.heard.content == talk.peer_said
        assert talk.peer_saw_end == talk.has_ended
        assert talk.stream is not None
        is_over = talk.has_ended and talk.peer_has_ended
        assert (talk.stream.id in self.ours.streams) == (not is_over)

    def _compare_windows(self) -> None:
        """With nothing on its way, each side's idea of what the other may send is the other's own."""
        assert self.ours.send_window == self.peer.inbound_flow_control_window
        assert self.ours._receive_window == self.peer.outbound_flow_control_window  # pyright: ignore[reportPrivateUsage]
        for stream_id, stream in self.ours.streams.items():
            theirs = self.peer.streams[stream_id]
            assert stream.receive_window == theirs.outbound_flow_control_window
            assert stream.send_window == theirs.inbound_flow_control_window


class Server(Duel):
    is_server = True


class Client(Duel):
    is_server = False


@pytest.mark.parametrize("machine", [Server, Client])
def test_both_sides_agree(machine: type[Duel]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=40, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow]),
    )
