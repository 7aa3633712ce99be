"""The phases of an exchange, and how they follow each other."""

from collections.abc import Mapping
from enum import Enum


class Phase(Enum):
    READING = "reading"
    """The first message of the request is not complete."""
    PARKED = "parked"
    """Admission holds it."""
    ATTEMPTING = "attempting"
    """A replica has it; nothing has gone to the agent, so another replica could still take it."""
    STREAMING = "streaming"
    """The agent has response headers."""
    DONE = "done"


MOVES: Mapping[Phase, frozenset[Phase]] = {
    Phase.READING: frozenset((Phase.PARKED, Phase.ATTEMPTING, Phase.DONE)),
    Phase.PARKED: frozenset((Phase.ATTEMPTING, Phase.DONE)),
    Phase.ATTEMPTING: frozenset((Phase.PARKED, Phase.ATTEMPTING, Phase.STREAMING, Phase.DONE)),
    Phase.STREAMING: frozenset((Phase.DONE,)),
    Phase.DONE: frozenset(),
}
