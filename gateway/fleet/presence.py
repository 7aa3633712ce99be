"""What a worker says of itself in its row of the shared memory. It tells nobody: control looks when it wants to know.

Control may see one cell as it is and another as it was. That does no harm, since each number is a cell of its own, and
no two are compared; only `streams` adds two, and may count a request twice or not at all while it stops waiting for a
place: for one look, at which one connection is handed over.
"""

from typing import Final

from gateway.fleet.shared_counters import NETWORKS_AT, Cell, Rows

__all__ = ["ALL_NETWORKS", "BEAT_INTERVAL_S", "Presence"]

ALL_NETWORKS: Final = 0
"""The number of all agents together; those of networks begin at 1."""
BEAT_INTERVAL_S: Final = 0.5


class Presence:
    """Of one worker. It alone writes; once it is dead control does, and sets everything back (`Rows.bury`) but how many
    connections have ended in all its lives."""

    def __init__(self, rows: Rows, worker: int) -> None:
        self._row = rows.workers[worker]

    # For the worker.

    def beat(self, fleet_version: int) -> None:
        """Every `BEAT_INTERVAL_S`: say that the loop runs, and which version of the fleet it goes by.

        Who sees this version must see what was counted before it was reached (`gateway.control.slots`). So it is also
        where stores may be seen late: to take a fleet over is more work than a processor holds back."""
        self._row[Cell.FLEET_VERSION] = fleet_version + 1
        self._row[Cell.BEATS] += 1

    def connection_ended(self, network: int) -> None:
        """One of those that were handed to it, with this number."""
        self._row[NETWORKS_AT + network] += 1
        self._row[NETWORKS_AT + ALL_NETWORKS] += 1

    # For control.

    @property
    def beats(self) -> int:
        """How many there ever were."""
        return self._row[Cell.BEATS]

    @property
    def fleet_version(self) -> int:
        """Of the fleet that it goes by; -1: of none yet."""
        return self._row[Cell.FLEET_VERSION] - 1

    def ended_connections(self, network: int = ALL_NETWORKS) -> int:
        """Return how many of those that were handed to it, in any life."""
        return self._row[NETWORKS_AT + network]

    @property
    def streams(self) -> int:
        """Requests that it has with replicas, or keeps waiting for one. Not those of which the message is still on its
        way, nor what control answers, such as a Watch of Health that stays for ever: these cost next to nothing."""
        return self._row[Cell.REQUESTS] + self._row[Cell.PARKED_REQUESTS]

    def __repr__(self) -> str:
        return f"<Presence: {self.streams} streams, {self.beats} beats, fleet {self.fleet_version}>"
