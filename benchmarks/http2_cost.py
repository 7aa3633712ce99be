"""What the HTTP/2 core spends on one DATA frame: from one connection's bytes to the other's, without sockets.

    python -m benchmarks.http2_cost

Two connections in memory, as in the relay: a client's side towards the replica, a server's towards the agent. Each
frame is read, accounted, patched, put out and credited. CPU time of this process; the median of the runs, and the
lowest and highest.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

from gateway.http2 import frames
from gateway.http2.connection import Connection
from gateway.http2.headers import Codec, Field, Fields
from gateway.http2.limits import Limits, Rate
from gateway.http2.streams import Stream

REQUEST: tuple[Field, ...] = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/a.B/C"),
    (b":authority", b"a"),
)
RESPONSE: tuple[Field, ...] = ((b":status", b"200"), (b"content-type", b"application/grpc"))
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


class Owner:
    """Owns one side of a pair; forwards what its streams receive, where there is something to forward to."""

    def __init__(self) -> None:
        self.requests: list[Stream] = []

    def on_output(self) -> None: ...
    def on_peer_ready(self) -> None: ...
    def on_goaway(self, code: int, debug: bytes) -> None: ...
    def on_ping_ack(self, payload: bytes) -> None: ...

    def on_request(self, stream: Stream, fields: Fields, is_end: bool) -> None:
        self.requests.append(stream)


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

    def on_headers(self, fields: Fields, is_end: bool) -> None: ...
    def on_last_data(self, payload: bytes) -> None: ...
    def on_reset(self, code: int) -> None: ...
    def on_sent(self, size: int) -> None: ...
    def on_connection_lost(self) -> None: ...


def relay(streams: int) -> tuple[Connection, Connection]:
    """Return the replica's and the agent's connection with that many streams open from one to the other."""
    codec, limits = Codec(), Limits(streams=streams, header_bytes=Rate(2**30, 0))
    owner = Owner()
    agent = Connection(owner, is_server=True, limits=limits, codec=codec, clock=time.monotonic)
    replica = Connection(Owner(), is_server=False, limits=limits, codec=codec, clock=time.monotonic)
    opening = [frames.PREFACE, frames.settings([(frames.Setting.INITIAL_WINDOW_SIZE, WIDEST)])]
    opening.append(frames.window_update(0, WIDEST - frames.DEFAULT_WINDOW_BYTES))
    block = codec.encoder.encode(REQUEST)
    opening += [frames.header_block(1 + 2 * i, block, end_stream=True) for i in range(streams)]
    agent.receive(b"".join(opening))
    replica.receive(frames.settings([]))
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
    payload = b"x" * size
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


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http2_cost")
    parser.add_argument("--runs", type=int, default=15)
    runs: int = parser.parse_args().runs
    results: dict[str, list[float]] = {name: [] for name, *_ in SHAPES}
    for _ in range(runs):
        for name, streams, frames_a_read, size in SHAPES:
            results[name].append(measure(streams, frames_a_read, size, time.process_time))
    for name, figures in results.items():
        print(f"{name:18} {median(figures):6.2f} us a frame  ({min(figures):.2f} to {max(figures):.2f})")


if __name__ == "__main__":
    main()
