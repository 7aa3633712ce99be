import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channel import channel as channel_module
from gateway.channel.channel import Channel, ChannelError, Frames, frame, open_control_end, open_worker_end
from gateway.channel.messages import (
    AskMetrics,
    Configure,
    Down,
    Drain,
    FleetChanged,
    Metrics,
    Outcome,
    OutcomeKind,
    Outcomes,
    Prepare,
    Prepared,
    Reconfigure,
    Up,
    WorkerReady,
)
from gateway.config import Settings
from gateway.metrics import Family, Kind, Sample
from gateway.types import LoadReport, ReplicaRecord, ReplicaState, Snapshot

# The worker runs on uvloop, control on asyncio's own loop.
on_both_loops = pytest.mark.parametrize("anyio_backend", ["asyncio", ("asyncio", {"use_uvloop": True})])

LOAD = LoadReport(1.0, 2.0, 0.5, 300.0, 2**53 - 1, 7, 12.5)
REPLICAS = (
    ReplicaRecord("a", "127.0.0.1:1", 3, ReplicaState.READY, frozenset({"m", "n"}), 1.0, LOAD),
    ReplicaRecord("b", "127.0.0.1:2", 0, ReplicaState.STARTING, None, 0.5, None),
)
DOWN: list[Down] = [
    Configure(0, 4, "gateway", "/tmp/control.sock", Settings()),
    FleetChanged(Snapshot(9, REPLICAS)),
    Prepare(7, Settings(policy="random", workers="auto")),
    Reconfigure(Settings(policy="random")),
    Drain(3.0),
    AskMetrics(4),
]
UP: list[Up] = [
    WorkerReady(),
    Outcomes([Outcome("a", 3, OutcomeKind.CONNECTION_LOST)]),
    Prepared(7, "no such policy"),
    Metrics(4, [Family("x_total", Kind.COUNTER, "X.", ("replica",), (), [Sample(("a",), [1.0])])]),
]


class Ends:
    """Both ends, what each got, and how each closed."""

    def __init__(self) -> None:
        self.up: asyncio.Queue[Up] = asyncio.Queue()
        self.down: asyncio.Queue[Down] = asyncio.Queue()
        self.control_closed: asyncio.Future[Exception | None] = asyncio.Future()
        self.worker_closed: asyncio.Future[Exception | None] = asyncio.Future()
        self.control: Channel[Down, Up]
        self.worker: Channel[Up, Down]


@contextlib.asynccontextmanager
async def open_ends() -> AsyncGenerator[Ends]:
    ends = Ends()
    for_control, for_worker = socket.socketpair()
    ends.control = await open_control_end(for_control, ends.up.put_nowait, ends.control_closed.set_result)
    ends.worker = await open_worker_end(for_worker, ends.down.put_nowait, ends.worker_closed.set_result)
    try:
        yield ends
    finally:
        ends.control.abort()
        ends.worker.abort()
        await asyncio.wait([ends.control_closed, ends.worker_closed])


@on_both_loops
async def test_each_message_arrives_as_it_was_sent_and_in_order() -> None:
    async with open_ends() as ends:
        assert all(ends.control.send(message) for message in DOWN)
        assert all(ends.worker.send(message) for message in UP)
        assert [await ends.down.get() for _ in DOWN] == DOWN
        assert [await ends.up.get() for _ in UP] == UP


@on_both_loops
async def test_what_was_sent_before_the_close_still_arrives_and_then_the_end_is_told() -> None:
    async with open_ends() as ends:
        large = FleetChanged(Snapshot(1, REPLICAS * 20_000))
        assert ends.control.send(large)
        ends.control.close()
        assert await ends.down.get() == large
        assert await ends.worker_closed is None
        assert await ends.control_closed is None
        assert not ends.control.is_open
        assert not ends.control.send(Drain(1.0))


@on_both_loops
async def test_a_peer_that_does_not_read_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "BUFFERED_BYTES_MAX", 100_000)
    for_control, for_worker = socket.socketpair()
    closed: asyncio.Future[Exception | None] = asyncio.Future()
    control = await open_control_end(for_control, lambda _: None, closed.set_result)
    with for_worker:
        sent = 0
        while control.send(FleetChanged(Snapshot(1, REPLICAS * 100))):
            sent += 1
            assert sent < 10_000
    control.abort()
    await closed


@on_both_loops
@pytest.mark.parametrize(
    "garbage", [b"\xff\xff\xff\xff", frame(b"\xc1"), frame(msgspec.msgpack.encode({"type": "Drain"}))]
)
async def test_garbage_ends_the_channel_and_says_so(garbage: bytes) -> None:
    for_control, for_worker = socket.socketpair()
    closed: asyncio.Future[Exception | None] = asyncio.Future()
    got: list[Up] = []
    await open_control_end(for_control, got.append, closed.set_result)
    with for_worker:
        for_worker.sendall(frame(msgspec.msgpack.encode(WorkerReady())) + garbage)
        assert isinstance(await closed, ChannelError)
    assert got == [WorkerReady()]


@given(st.lists(st.binary(max_size=40), max_size=8), st.data())
def test_frames_come_out_whole_however_the_bytes_are_chunked(payloads: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(map(frame, payloads))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    frames = Frames()
    chunks = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [got for chunk in chunks for got in frames.feed(chunk)] == payloads
