"""The phases of an exchange, and how they follow each other."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class Phase(IntEnum):
    READING = 0
    """The first message of the request is not complete."""
    PARKED = 1
    """Admission holds it."""
    ATTEMPTING = 2
    """A replica has it; nothing has gone to the agent, so another replica could still take it."""
    STREAMING = 3
    """The agent has response headers."""
    DONE = 4


MOVES: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.READING: frozenset((Phase.PARKED, Phase.ATTEMPTING, Phase.DONE)),
    Phase.PARKED: frozenset((Phase.ATTEMPTING, Phase.DONE)),
    Phase.ATTEMPTING: frozenset((Phase.PARKED, Phase.ATTEMPTING, Phase.STREAMING, Phase.DONE)),
    Phase.STREAMING: frozenset((Phase.DONE,)),
    Phase.DONE: frozenset(),
}
