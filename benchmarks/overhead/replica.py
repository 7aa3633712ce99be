"""Replicas that cost next to nothing: raw HTTP/2 from prebuilt buffers, no scheduler, no protobuf for a token.

    python -m benchmarks.overhead.replica COUNT [REPORT_INTERVAL_MS]

One process listens on COUNT ports of loopback, one for each replica, and prints them as JSON. What to send stands in
the prompt (orders.py). Each sends a load report every second, unless told otherwise. A line on its input is answered
with the number of held streams; the end of its input ends it.
"""

import json
import os
import random
import socket
import sys
from functools import partial

from hpack import Decoder

from benchmarks.overhead.answers import RESPONSE, UNIMPLEMENTED, Answer, Report, control_answers
from benchmarks.overhead.loop import Loop, now_ns
from benchmarks.overhead.orders import GO, STOP, Order, find_order, message
from benchmarks.overhead.steps import Sender, Step, Stream
from benchmarks.overhead.wire import GREETING, head, header_frame
from gateway.http2.frames import DATA, END_STREAM, PREFACE

_REPORT_INTERVAL_MS = 1_000
"""What a gateway asks for by default."""
_GOLDEN = 0.618033988749895
"""Its multiples spread phases evenly, whatever their number."""


class Replica:
    """What stands behind one port."""

    def __init__(self, loop: Loop, number: int, listening: socket.socket, interval_ms: int) -> None:
        self.loop = loop
        self.interval_ns = interval_ms * 10**6
        self.report = Report(random.Random(number))
        self.answers = control_answers(self.report)
        self.connections: set[Connection] = set()
        self._steps: list[Step] = []
        self._shared: dict[Order, Step] = {}
        """Those of them that further streams may join."""
        self._phase = number / 3
        """Of the newest step. Engines do not step in time with each other."""
        self._listening = listening
        loop.watch(listening.fileno(), self._accept)

    def join_step(self, order: Order, connection: "Connection", stream: Stream) -> None:
        """Let a stream take part in the step that it ordered."""
        step = None if order.is_spread else self._shared.get(order)
        if step is None:
            self._phase = (self._phase + _GOLDEN) % 1
            step = Step(self.loop, order, self._phase)
            self._steps.append(step)
            if not order.is_spread:
                self._shared[order] = step
        step.add(connection, stream)

    def command(self, command: int) -> None:
        now = now_ns()
        for step in self._steps:
            if command == GO:
                step.go(now)
            else:
                step.stop()
        if command == STOP:
            self._steps.clear()
            self._shared.clear()

    def _accept(self, events: int) -> None:
        sock, _ = self._listening.accept()
        self.connections.add(Connection(self, sock))


class Connection(Sender):
    """One connection of a proxy, or of its health checks."""

    def __init__(self, replica: Replica, sock: socket.socket) -> None:
        self._replica = replica
        self.streams: dict[int, Stream] = {}
        self._blocks: list[tuple[int, bytes]] | None = []
        """Header blocks that nobody needed to read so far; None once orders come, which need none."""
        self.held = 0
        """Streams that have been asked and get no answer."""
        super().__init__(replica.loop, sock, GREETING, skipped_bytes=len(PREFACE))

    def on_headers(self, stream_id: int, flags: int, start: int, end: int) -> None:
        self.streams[stream_id] = Stream(stream_id, self.initial_window)
        if self._blocks is not None:
            self._blocks.append((stream_id, bytes(self.buffer[start:end])))

    def on_data(self, stream_id: int, flags: int, start: int, end: int) -> None:
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        if stream.order is None:
            stream.order = find_order(self.buffer, start, end)
        if flags & END_STREAM:
            if stream.order is None:
                self._answer_control(stream)
            else:
                self._begin(stream, stream.order)

    def on_reset(self, stream_id: int, code: int) -> None:
        stream = self.streams.pop(stream_id, None)
        if stream is not None and stream.step is not None:
            stream.step.remove(self, stream)
        if stream is not None and stream.order is not None:
            self.held -= stream.order.is_held

    def on_window(self, stream_id: int, increment: int) -> None:
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.window += increment

    def on_windows(self, increment: int) -> None:
        for stream in self.streams.values():
            stream.window += increment

    def on_closed(self) -> None:
        for step in {stream.step for stream in self.streams.values()}:
            if step is not None:
                step.forget(self)
        self.streams.clear()
        self._replica.connections.discard(self)

    def end_stream(self, stream: Stream) -> None:
        if self.streams.pop(stream.id, None) is not None:
            block = self._replica.report.trailers(self.headers)
            self.send(header_frame(stream.id, block, is_end=True))

    def _begin(self, stream: Stream, order: Order) -> None:
        if order.command:
            self._replica.command(order.command)
            return
        self._blocks = None
        self._replica.report.received_requests += 1
        if order.is_held:
            self.held += 1
            return
        self.send(header_frame(stream.id, self.headers.encode(RESPONSE)))
        body = message(order.message_bytes)
        count = order.messages or 1
        self.send((head(len(body), DATA, 0, stream.id) + body) * count)
        self.send_window -= len(body) * count
        stream.window -= len(body) * count
        if order.messages:
            self.end_stream(stream)
        else:
            self._replica.join_step(order, self, stream)

    def _answer_control(self, stream: Stream) -> None:
        """Read the headers after all, from the connection's first block on, whose table the others need."""
        decoder, path = Decoder(), b""
        for stream_id, block in self._blocks or ():
            fields = decoder.decode(block, raw=True)
            if stream_id == stream.id:
                path = dict(fields)[b":path"]
        answer = self._replica.answers.get(path)
        if answer is None:
            self.streams.pop(stream.id)
            self.send(header_frame(stream.id, self.headers.encode(UNIMPLEMENTED), is_end=True))
            return
        self.send(header_frame(stream.id, self.headers.encode(RESPONSE)))
        self._repeat(stream, answer)
        if not answer.stays_open:
            self.end_stream(stream)

    def _repeat(self, stream: Stream, answer: Answer) -> None:
        if self.streams.get(stream.id) is not stream:
            return
        body = answer.message()
        self.send(head(len(body), DATA, 0, stream.id) + body)
        self.send_window -= len(body)
        if answer.is_repeated:
            self.flush()
            self.loop.at(now_ns() + self._replica.interval_ns, partial(self._repeat, stream, answer))


def main(count: int, interval_ms: int = _REPORT_INTERVAL_MS) -> None:
    loop = Loop()
    listening = [socket.create_server(("127.0.0.1", 0), backlog=4_096) for _ in range(count)]
    replicas = [Replica(loop, number, sock, interval_ms) for number, sock in enumerate(listening)]
    is_over = False

    def on_input(events: int) -> None:
        nonlocal is_over
        lines = os.read(sys.stdin.fileno(), 4_096)
        is_over = not lines
        for _ in range(lines.count(b"\n")):
            print(sum(c.held for replica in replicas for c in replica.connections), flush=True)

    loop.watch(sys.stdin.fileno(), on_input)
    print(json.dumps([sock.getsockname()[1] for sock in listening]), flush=True)
    loop.run(lambda: is_over)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
