"""What the relay needs of an event loop's timers, and what it does by sweeping instead."""

from typing import Final, Protocol

SWEEP_INTERVAL_S: Final = 1.0
"""How often a worker looks at what has no timer of its own (relay.sweeper)."""


class Timer(Protocol):
    def cancel(self) -> None: ...
