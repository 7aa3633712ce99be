"""The first signal asks to stop, the second one does not wait."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager


class Signals:
    """Each `interruption` is ended by one signal, in the order of both."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._received: list[signal.Signals] = []
        self._entered = 0
        self._scope: asyncio.Timeout | None = None

    @classmethod
    @contextmanager
    def of(cls, loop: asyncio.AbstractEventLoop, numbers: Iterable[signal.Signals]) -> Generator["Signals", None, None]:
        """Take these signals of the process."""
        signals = cls(loop)
        for number in numbers:
            loop.add_signal_handler(number, signals.deliver, number)
        try:
            yield signals
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    @property
    def status(self) -> int:
        """The exit status: a second signal makes it that of a process which a signal ended."""
        return 128 + self._received[1] if len(self._received) > 1 else 0

    def deliver(self, number: signal.Signals) -> None:
        self._received.append(number)
        self._end_if_received()

    @asynccontextmanager
    async def interruption(self) -> AsyncGenerator[None, None]:
        """Run a block until it ends or its signal comes."""
        self._entered += 1
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._scope = scope
                self._end_if_received()
                yield
        except TimeoutError:
            if not scope.expired():
                raise
        finally:
            self._scope = None

    def _end_if_received(self) -> None:
        if self._scope is not None and len(self._received) >= self._entered:
            self._scope.reschedule(self._loop.time())
