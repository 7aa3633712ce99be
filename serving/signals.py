"""The first signal asks to stop, the second one does not wait."""

import asyncio
import signal
from collections.abc import AsyncGenerator, Generator, Iterable
from contextlib import asynccontextmanager, contextmanager


class Signals:
    """Each signal ends one `interruption`: the block that runs, else the next one."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._received: list[signal.Signals] = []
        self._ended_blocks = 0
        self._block: asyncio.Timeout | None = None

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
        self._end_block()

    @asynccontextmanager
    async def interruption(self) -> AsyncGenerator[None, None]:
        """Run a block until it ends or a signal comes."""
        block = asyncio.timeout(None)
        try:
            async with block:
                self._block = block
                self._end_block()
                yield
        except TimeoutError:
            if not block.expired():
                raise
        finally:
            self._block = None

    def _end_block(self) -> None:
        if self._block is not None and self._ended_blocks < len(self._received):
            self._ended_blocks += 1
            self._block.reschedule(self._loop.time())
            self._block = None
