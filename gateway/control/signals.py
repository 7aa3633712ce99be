"""SIGTERM and SIGINT: the first asks to stop, the second does not ask. SIGHUP: read the settings again."""

import asyncio
import signal
from types import TracebackType
from typing import Self

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """`stopping` is set by the first. The second cancels the task that has entered, and is then in `second`.
    `reloading` is set by each SIGHUP."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.reloading = asyncio.Event()
        self.second: signal.Signals | None = None
        self._task: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        loop.add_signal_handler(signal.SIGHUP, self.reloading.set)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
        loop.remove_signal_handler(signal.SIGHUP)

    def _on_signal(self, number: signal.Signals) -> None:
        if not self.stopping.is_set():
            self.stopping.set()
        elif self.second is None and self._task is not None:
            self.second = number
            self._task.cancel()
