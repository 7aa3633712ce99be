"""What the HTTP/2 core spends on one DATA frame and on one call, from one connection's bytes to the other's.

    python -m benchmarks.http2_cost
    make bench-http2                        # the same, written into docs/benchmarks.md

Two connections in memory, as in the relay: a client's side towards the replica, a server's towards the agent. Each
frame is read, accounted, patched, put out and credited. A call is request headers that nobody has met, one message,
response headers, one message and trailers, each read, checked and sent on. CPU time of this process; the median of
the runs, and the lowest and highest.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.marks import Marks, table
from benchmarks.overhead.machine import Watch
from gateway.errors import Limit
from gateway.http2 import frames
from gateway.http2.codec import Codec, HeaderEncoder
from gateway.http2.connection import Connection
from gateway.http2.headers import Field, Fields
from gateway.http2.limits import Limits, Rate
from gateway.http2.streams import Stream
from gateway.rpc.framing import prefixed

_MARKS = Marks("http2", "make bench-http2")
REQUEST: tuple[Field, ...] = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/a.B/C"),
    (b":authority", b"a"),
)
RESPONSE: tuple[Field, ...] = ((b":status", b"200"), (b"content-type", b"application/grpc"))
ACK = frames.frame(frames.SETTINGS, frames.ACK, 0)
WIDEST = frames.MAX_WINDOW_BYTES
FRAMES = 25_600
"""In one run, or fewer where they are large."""

# Name, streams, frames in one read, bytes in one frame.
SHAPES = (
    ("burst", 64, 64, 125),
    ("many streams", 1_024, 1_024, 125),
    ("one frame a read", 64, 1, 125),
    ("large frames", 8, 8, 16_000),
)


CALL: tuple[Field, ...] = (
    *REQUEST,
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-python-asyncio/1.85.1 grpc-c/55.0.0"),
    (b"grpc-accept-encoding", b"identity, deflate, gzip"),
)
TRAILERS: tuple[Field, ...] = ((b"grpc-status", b"0"),)
CALLS = 400


class Owner:
    """Owns one side of a pair; forwards what its streams receive, where there is something to forward to."""

    def __init__(self) -> None:
        self.requests: list[Stream] = []
        self.fields: Fields = ()

    def on_output(self) -> None: ...
    def on_peer_ready(self) -> None: ...
    def on_goaway(self, code: int, debug: bytes) -> None: ...
    def on_ping_ack(self, payload: bytes) -> None: ...

    def on_limit(self, limit: Limit) -> None: ...

    def on_request(self, stream: Stream, fields: Fields, is_end: bool) -> None:
        self.requests.append(stream)
        self.fields = fields


class Forwarder:
    """Receives from the replica; gives to the agent."""

    def __init__(self, replica: Connection, agent: Connection, agent_stream: Stream) -> None:
        self._replica = replica
        self._agent = agent
        self._agent_stream = agent_stream
        self.stream: Stream | None = None

    def on_data(self, data: bytes, start: int, end: int) -> None:
        assert self.stream is not None
        if not self._agent.forward(self._agent_stream, data, start, end):
            raise AssertionError("a window was used up")
        self._replica.credit(self.stream, end - start - 9)
        self._replica.let_pass(self.stream, self, self._agent, self._agent_stream)

    def on_passed(self, now_s: float) -> None: ...

    def on_headers(self, fields: Fields, is_end: bool) -> None: ...
    def on_last_data(self, payload: bytes) -> None: ...
    def on_reset(self, code: int) -> None: ...
    def on_sent(self, size: int) -> None: ...
    def on_connection_lost(self) -> None: ...


def relay(streams: int) -> tuple[Connection, Connection]:
    """Return the replica's and the agent's connection with that many streams open from one to the other."""
    codec, limits = Codec(), Limits(streams=streams + 1, header_bytes=Rate(2**30, 0))
    owner = Owner()
    agent = Connection(owner, is_server=True, limits=limits, codec=codec, clock=time.monotonic)
    replica = Connection(Owner(), is_server=False, limits=limits, codec=codec, clock=time.monotonic)
    opening = [frames.PREFACE, frames.settings([(frames.Setting.INITIAL_WINDOW_SIZE, WIDEST)])]
    opening.append(ACK + frames.window_update(0, WIDEST - frames.DEFAULT_WINDOW_BYTES))
    block = codec.encoder.encode(REQUEST)
    opening += [frames.header_block(1 + 2 * i, block, end_stream=True) for i in range(streams)]
    agent.receive(b"".join(opening))
    replica.receive(frames.settings([]) + ACK)
    for agent_stream in owner.requests:
        forwarder = Forwarder(replica, agent, agent_stream)
        forwarder.stream = replica.open_stream(REQUEST, forwarder, is_end=True)
        agent.send_headers(agent_stream, RESPONSE)
    block = codec.encoder.encode(RESPONSE)
    replica.receive(b"".join(frames.header_block(1 + 2 * i, block, end_stream=False) for i in range(streams)))
    replica.take_output()
    agent.take_output()
    return replica, agent


def reads(streams: int, frames_a_read: int, size: int) -> list[bytes]:
    """Return what the replica sends, read by read: every stream in turn."""
    payload = prefixed(b"x" * (size - 5))
    wire = [frames.frame(frames.DATA, 0, 1 + 2 * i, payload) for i in range(streams)]
    count = FRAMES // frames_a_read // (1 + size // 4_000)
    return [b"".join(wire[(n + i) % streams] for i in range(frames_a_read)) for n in range(count)]


def measure(streams: int, frames_a_read: int, size: int, clock: Callable[[], float]) -> float:
    """Return microseconds of CPU a frame."""
    replica, agent = relay(streams)
    chunks = reads(streams, frames_a_read, size)
    started_at = clock()
    for chunk in chunks:
        replica.receive(chunk)
        b"".join(agent.take_output())
        replica.take_output()
    return (clock() - started_at) / (len(chunks) * frames_a_read) * 1e6


class Caller(Forwarder):
    """Receives one call's answer from the replica; gives all of it to the agent."""

    def on_headers(self, fields: Fields, is_end: bool) -> None:
        self._agent.send_headers(self._agent_stream, fields, is_end=is_end)


def measure_calls(clock: Callable[[], float]) -> float:
    """Return microseconds of CPU a call."""
    replica, agent = relay(0)
    owner = agent.owner
    assert isinstance(owner, Owner)
    encoder, message = HeaderEncoder(), b"x" * 125
    requests: list[bytes] = []
    for number in range(CALLS):
        block = encoder.encode([*CALL, (b"grpc-timeout", b"%du" % (1_000_000 + number))])
        end = frames.frame(frames.DATA, frames.END_STREAM, 1 + 2 * number, message)
        requests.append(frames.header_block(1 + 2 * number, block, end_stream=False) + end)
    response, trailers = encoder.encode(RESPONSE), encoder.encode(TRAILERS)
    started_at = clock()
    for number, request in enumerate(requests):
        stream_id = 1 + 2 * number
        agent.receive(request)
        agent_stream = owner.requests.pop()
        caller = Caller(replica, agent, agent_stream)
        caller.stream = replica.open_stream(owner.fields, caller)
        replica.send_data(caller.stream, message, is_end=True)
        answer = frames.header_block(stream_id, response, end_stream=False)
        answer += frames.frame(frames.DATA, 0, stream_id, message)
        replica.receive(answer + frames.header_block(stream_id, trailers, end_stream=True))
        b"".join(replica.take_output())
        b"".join(agent.take_output())
    return (clock() - started_at) / CALLS * 1e6


def measured(runs: int) -> Mapping[str, Sequence[float]]:
    """Return microseconds of each run, by what was measured."""
    times_us: dict[str, list[float]] = {}
    for _ in range(runs):
        for name, streams, frames_a_read, size in SHAPES:
            took_us = measure(streams, frames_a_read, size, time.process_time)
            times_us.setdefault(f"a frame, {name}", []).append(took_us)
        times_us.setdefault("a call", []).append(measure_calls(time.process_time))
    return times_us


def report(times_us: Mapping[str, Sequence[float]]) -> str:
    rows = ((name, *(f"{of(each):.2f}" for of in (median, min, max))) for name, each in times_us.items())
    return table(("CPU us", "median", "lowest", "highest"), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table there between its marks")
    arguments = parser.parse_args()
    watch = Watch()
    found = report(measured(arguments.runs))
    _MARKS.tell(f"{watch.machine().said(watch.began_at, f'{arguments.runs} runs')}\n\n{found}", arguments.write)


if __name__ == "__main__":
    main()
