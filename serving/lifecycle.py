"""What a replica does with requests in each part of its life. Health, refusals and drain all follow from here."""

import asyncio
from collections.abc import Mapping
from enum import Enum, auto

from gateway.rpc.status import Failure, Reason


class Phase(Enum):
    LOADING = auto()
    """No engine yet, or it has not answered the warm-up."""
    READY = auto()
    LEAVING = auto()
    """Asked to stop. Says so, and still takes requests of those who have not heard it."""
    REFUSING = auto()
    """What runs may finish."""
    DEAD = auto()
    """The engine is gone."""
    CLOSED = auto()
    """Nothing runs any more: those who watch are told to go."""


class Event(Enum):
    WARMED_UP = auto()
    ASKED_TO_STOP = auto()
    PAUSE_OVER = auto()
    ENGINE_DIED = auto()
    FINISHED = auto()


NEXT: Mapping[Phase, Mapping[Event, Phase]] = {
    Phase.LOADING: {
        Event.WARMED_UP: Phase.READY,
        Event.ASKED_TO_STOP: Phase.REFUSING,
        Event.PAUSE_OVER: Phase.LOADING,
        Event.ENGINE_DIED: Phase.DEAD,
        Event.FINISHED: Phase.CLOSED,
    },
    Phase.READY: {
        Event.WARMED_UP: Phase.READY,
        Event.ASKED_TO_STOP: Phase.LEAVING,
        Event.PAUSE_OVER: Phase.READY,
        Event.ENGINE_DIED: Phase.DEAD,
        Event.FINISHED: Phase.CLOSED,
    },
    Phase.LEAVING: {
        Event.WARMED_UP: Phase.LEAVING,
        Event.ASKED_TO_STOP: Phase.LEAVING,
        Event.PAUSE_OVER: Phase.REFUSING,
        Event.ENGINE_DIED: Phase.DEAD,
        Event.FINISHED: Phase.CLOSED,
    },
    Phase.REFUSING: {
        Event.WARMED_UP: Phase.REFUSING,
        Event.ASKED_TO_STOP: Phase.REFUSING,
        Event.PAUSE_OVER: Phase.REFUSING,
        Event.ENGINE_DIED: Phase.DEAD,
        Event.FINISHED: Phase.CLOSED,
    },
    Phase.DEAD: {
        Event.WARMED_UP: Phase.DEAD,
        Event.ASKED_TO_STOP: Phase.DEAD,
        Event.PAUSE_OVER: Phase.DEAD,
        Event.ENGINE_DIED: Phase.DEAD,
        Event.FINISHED: Phase.CLOSED,
    },
    Phase.CLOSED: dict.fromkeys(Event, Phase.CLOSED),
}

# What is said to a request, where it is refused; the words go to the agent.
REFUSALS: Mapping[Phase, tuple[Reason, str] | None] = {
    Phase.LOADING: (Reason.NO_REPLICA_READY, "the engine is starting"),
    Phase.READY: None,
    Phase.LEAVING: None,
    Phase.REFUSING: (Reason.DRAINING, "the replica is draining"),
    Phase.DEAD: (Reason.REPLICA_FAILED, "the engine is gone"),
    Phase.CLOSED: (Reason.DRAINING, "the replica is stopping"),
}


class Changes:
    """Wakes all that wait for the next change. Look first, then wait: nothing is lost without a suspension between."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def notify(self) -> None:
        self._next.set()
        self._next = asyncio.Event()

    async def wait(self, timeout_s: float | None = None) -> None:
        """Return at the next change, or after the time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._next.wait()
        except TimeoutError:
            return


class Lifecycle:
    def __init__(self, retry_after_s: float) -> None:
        self.phase = Phase.LOADING
        self.changes = Changes()
        self._retry_after_s = retry_after_s

    def __repr__(self) -> str:
        return f"<Lifecycle {self.phase.name}>"

    @property
    def is_serving(self) -> bool:
        return self.phase is Phase.READY

    @property
    def is_closed(self) -> bool:
        return self.phase is Phase.CLOSED

    def apply(self, event: Event) -> None:
        self.phase = NEXT[self.phase][event]
        self.changes.notify()

    def check_accepts(self) -> None:
        """Raise Failure where new requests are refused."""
        refusal = REFUSALS[self.phase]
        if refusal is not None:
            reason, message = refusal
            raise Failure(reason, message, retry_after_s=self._retry_after_s)
