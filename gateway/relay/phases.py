"""The phases of an exchange, and how they follow each other."""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class Phase(IntEnum):
    READING = 0
    """The first message of the request is not complete."""
    DECIDING = 1
    """It is complete. Where it is long, others have their turn before it is read, and before a pick."""
    PARKED = 2
    """Admission holds it."""
    ATTEMPTING = 3
    """A replica has it; nothing has gone to the agent, so another replica could still take it."""
    STREAMING = 4
    """The agent has response headers."""
    DONE = 5


MOVES: Final[Mapping[Phase, frozenset[Phase]]] = {
    Phase.READING: frozenset((Phase.DECIDING, Phase.DONE)),
    Phase.DECIDING: frozenset((Phase.PARKED, Phase.ATTEMPTING, Phase.DONE)),
    Phase.PARKED: frozenset((Phase.ATTEMPTING, Phase.DONE)),
    Phase.ATTEMPTING: frozenset((Phase.PARKED, Phase.ATTEMPTING, Phase.STREAMING, Phase.DONE)),
    Phase.STREAMING: frozenset((Phase.DONE,)),
    Phase.DONE: frozenset(),
}
