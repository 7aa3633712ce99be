"""Agents that cost next to nothing: raw HTTP/2, streams counted and thrown away.

python -m benchmarks.overhead.load PORT < scenario as JSON > result as JSON
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

from gateway.http2.connection import Connection
from gateway.http2.headers import Codec, Field, Fields
from gateway.http2.limits import Limits
from gateway.http2.streams import Stream
from gateway.rpc.framing import prefixed
from inference.v1 import inference_pb2 as pb

_LIMITS = Limits(stream_window_bytes=2**22, connection_window_bytes=2**30)
_CODEC = Codec()


@dataclass(frozen=True)
class Scenario:
    """What the agents do."""

    streams: int
    """At a time, over all connections."""
    rounds: int
    """Each stream is followed by as many others."""
    messages: int
    """Of one stream."""
    message_bytes: int
    interval_ms: float
    """Between two messages of a stream; 0: as fast as they come."""
    connections: int = 4
    prompt_bytes: int = 64


@dataclass(frozen=True)
class Result:
    messages: int
    streams: int
    failures: int
    wall_s: float
    ttft_p50_ms: float
    ttft_p99_ms: float


class Agent(asyncio.Protocol):
    """One connection and its streams."""

    def __init__(self, scenario: Scenario, on_done: "asyncio.Queue[None]") -> None:
        self._scenario = scenario
        self._done = on_done
        self._transport: asyncio.Transport | None = None
        self.ready = asyncio.Event()
        self.received_bytes = 0
        self.ended = 0
        self.failures = 0
        self.ttft_s: list[float] = []
        request = pb.GenerateRequest(text="x" * scenario.prompt_bytes)
        self._body = prefixed(request.SerializeToString())
        self._fields = _request_fields(scenario)
        self.http2 = Connection(self, is_server=False, limits=_LIMITS, codec=_CODEC, clock=time.monotonic)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.http2.receive(data)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for stream in list(self.http2.streams.values()):
            stream.receiver.on_connection_lost()

    def begin(self, rounds: int) -> None:
        """Run one stream after another, as many as `rounds`."""
        asked = Asked(self, rounds)
        asked.stream = self.http2.open_stream(self._fields, asked)
        self.http2.send_data(asked.stream, self._body, is_end=True)

    def end(self, rounds_left: int, *, is_ok: bool) -> None:
        self.ended += 1
        self.failures += not is_ok
        if rounds_left and self._transport is not None:
            self.begin(rounds_left)
        else:
            self._done.put_nowait(None)

    def flush(self) -> None:
        out = self.http2.take_output()
        if self._transport is not None and out:
            self._transport.write(b"".join(out))

    def on_output(self) -> None: ...

    def on_request(self, stream: Stream, fields: Fields, is_end: bool) -> None: ...

    def on_peer_ready(self) -> None:
        self.ready.set()

    def on_goaway(self, code: int, debug: bytes) -> None: ...

    def on_ping_ack(self, payload: bytes) -> None: ...


class Asked:
    """One stream (http2.streams.StreamReceiver)."""

    stream: Stream

    def __init__(self, agent: Agent, rounds: int) -> None:
        self._agent = agent
        self._rounds = rounds
        self._began_at = time.perf_counter()
        self._has_data = False

    def on_headers(self, fields: Fields, is_end: bool) -> None:
        if is_end:
            self._agent.end(self._rounds - 1, is_ok=(b"grpc-status", b"0") in [tuple(f) for f in fields])

    def on_data(self, data: bytes, start: int, end: int) -> None:
        size = end - start - 9
        self._agent.received_bytes += size
        self._agent.http2.credit(self.stream, size)
        if not self._has_data:
            self._has_data = True
            self._agent.ttft_s.append(time.perf_counter() - self._began_at)

    def on_last_data(self, payload: bytes) -> None:
        self._agent.end(self._rounds - 1, is_ok=False)

    def on_reset(self, code: int) -> None:
        self._agent.end(self._rounds - 1, is_ok=False)

    def on_sent(self, size: int) -> None: ...

    def on_connection_lost(self) -> None:
        self._agent.end(0, is_ok=False)


def _request_fields(scenario: Scenario) -> list[Field]:
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/inference.v1.Inference/Generate"),
        (b":authority", b"127.0.0.1"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"x-messages", b"%d" % scenario.messages),
        (b"x-bytes", b"%d" % scenario.message_bytes),
        (b"x-interval-ms", repr(scenario.interval_ms).encode()),
    ]


async def run(port: int, scenario: Scenario) -> Result:
    loop = asyncio.get_running_loop()
    done: asyncio.Queue[None] = asyncio.Queue()
    agents: list[Agent] = []
    for _ in range(scenario.connections):
        _, agent = await loop.create_connection(lambda: Agent(scenario, done), "127.0.0.1", port)
        await agent.ready.wait()
        agents.append(agent)
    began_at = time.perf_counter()
    for number in range(scenario.streams):
        agents[number % len(agents)].begin(scenario.rounds)
    for agent in agents:
        agent.flush()
    for _ in range(scenario.streams):
        await done.get()
    wall_s = time.perf_counter() - began_at
    ttft_s = sorted(seconds for agent in agents for seconds in agent.ttft_s) or [0.0]
    message = pb.GenerateResponse(sequence=1, text="x" * (scenario.message_bytes - 12), token_ids=[1])
    size = len(prefixed(message.SerializeToString()))
    return Result(
        messages=sum(agent.received_bytes for agent in agents) // size,
        streams=sum(agent.ended for agent in agents),
        failures=sum(agent.failures for agent in agents),
        wall_s=wall_s,
        ttft_p50_ms=ttft_s[len(ttft_s) // 2] * 1e3,
        ttft_p99_ms=ttft_s[int(len(ttft_s) * 0.99)] * 1e3,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(uvloop.run(run(int(sys.argv[1]), Scenario(**json.load(sys.stdin)))))))
