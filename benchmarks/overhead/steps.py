"""Engine steps: which streams get their message at the same moment, and when."""

from benchmarks.overhead.loop import Loop
from benchmarks.overhead.orders import Order, Stamp
from benchmarks.overhead.wire import Wire, head
from gateway.http2.frames import DATA


class Stream:
    """One that is being answered."""

    __slots__ = ("head", "id", "order", "step", "window")

    def __init__(self, stream_id: int, window: int) -> None:
        self.id = stream_id
        self.window = window
        """Bytes that it may send; while it is in a batch, as of the batch's last settlement."""
        self.order: Order | None = None
        self.step: Step | None = None
        self.head = b""
        """Of its DATA frames."""


class Sender(Wire):
    """A connection whose streams take part in steps."""

    def end_stream(self, stream: Stream) -> None:
        raise NotImplementedError


class Batch:
    """The streams of one connection in one step. Between two changes its frames differ in the message alone, so that a
    step is one join; windows are settled when the smallest is used up."""

    def __init__(self, wire: Wire, message_bytes: int) -> None:
        self._wire = wire
        self._size = message_bytes + 5
        self._heads: list[bytes] = []
        self._sending: list[Stream] = []
        self._allowance = 0
        """Steps until a window is used up."""
        self._sent = 0
        """Steps since the last settlement."""
        self.streams: dict[int, Stream] = {}

    def add(self, stream: Stream) -> None:
        self._settle()
        self.streams[stream.id] = stream
        stream.head = head(self._size, DATA, 0, stream.id)

    def remove(self, stream: Stream) -> None:
        self._settle()
        self.streams.pop(stream.id, None)

    def step(self, body: bytes) -> None:
        """Send a message on every stream that has credit for it."""
        wire = self._wire
        if not self._allowance:
            self._settle()
            self._prepare()
        needed = self._size * len(self._heads)
        if not needed or wire.send_window < needed:
            return
        wire.send(body.join(self._heads) + body)
        wire.send_window -= needed
        self._allowance -= 1
        self._sent += 1

    def _settle(self) -> None:
        used = self._sent * self._size
        for stream in self._sending:
            stream.window -= used
        self._sent = self._allowance = 0
        self._sending = []

    def _prepare(self) -> None:
        self._sending = [stream for stream in self.streams.values() if stream.window >= self._size]
        self._heads = [stream.head for stream in self._sending]
        self._allowance = min((stream.window // self._size for stream in self._sending), default=0)


class Step:
    """One clock: all streams of one replica that ordered the same, or a single one that ordered a phase of its own."""

    def __init__(self, loop: Loop, order: Order, phase: float) -> None:
        """`phase` is a part of the interval, from 0 to 1."""
        self._loop = loop
        self._interval_ns = order.interval_ns
        self._message_bytes = order.message_bytes
        self._phase = phase
        self._stamp = Stamp(order.message_bytes)
        self._batches: dict[Sender, Batch] = {}
        self._due_at_ns = 0
        self._is_running = False

    def add(self, wire: Sender, stream: Stream) -> None:
        batch = self._batches.get(wire)
        if batch is None:
            batch = self._batches[wire] = Batch(wire, self._message_bytes)
        batch.add(stream)
        stream.step = self

    def remove(self, wire: Sender, stream: Stream) -> None:
        self._batches[wire].remove(stream)

    def forget(self, wire: Sender) -> None:
        self._batches.pop(wire, None)

    def go(self, now_ns: int) -> None:
        self._due_at_ns = now_ns
        if not self._interval_ns:
            self._send()
        elif not self._is_running:
            self._is_running = True
            self._due_at_ns += int(self._interval_ns * self._phase)
            self._loop.at(self._due_at_ns, self._tick)

    def stop(self) -> None:
        """End all streams."""
        self._is_running = False
        for wire, batch in self._batches.items():
            for stream in tuple(batch.streams.values()):
                wire.end_stream(stream)
            wire.flush()
        self._batches.clear()

    def _tick(self) -> None:
        if self._is_running:
            self._send()
            self._due_at_ns += self._interval_ns
            self._loop.at(self._due_at_ns, self._tick)

    def _send(self) -> None:
        # The moment at which it was due, not at which we got to it: lateness of ours is latency too, for all alike.
        body = self._stamp.at(self._due_at_ns)
        for wire, batch in self._batches.items():
            batch.step(body)
            wire.flush()
