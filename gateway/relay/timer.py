"""What the relay needs of an event loop's timers."""

from typing import Protocol


class Timer(Protocol):
    def cancel(self) -> None: ...
