"""How many requests each gateway in front of this one has sent here: what its own count of them is compared with."""

from hashlib import blake2b

from gateway.fleet.shared_counters import GATEWAYS, GATEWAYS_AT, Rows

__all__ = ["Received"]

_COUNTS_AT = GATEWAYS_AT + GATEWAYS


class Received:
    """Counts in the shared row of one process; sums over all."""

    def __init__(self, rows: Rows, worker: int) -> None:
        """`worker` as for SharedCounters. What was counted by another life of it counts on."""
        self._rows = rows.all
        self._own = rows.all[worker]
        names = self._own[GATEWAYS_AT:_COUNTS_AT].tolist()
        self._places = {name: place for place, name in enumerate(names) if name}
        """By name, the one that was silent longest first."""

    def add(self, gateway: bytes) -> None:
        """One more came from it. Beyond GATEWAYS of them the one that was silent longest begins again at 0."""
        name = _name(gateway)
        place = self._places.pop(name, None)
        if place is None:
            place = self._take(name)
        self._places[name] = place
        self._own[_COUNTS_AT + place] += 1

    def total(self, gateway: bytes) -> int:
        name, total = _name(gateway), 0
        for row in self._rows:
            names = row[GATEWAYS_AT:_COUNTS_AT].tolist()
            if name in names:
                total += row[_COUNTS_AT + names.index(name)]
        return total

    def _take(self, name: int) -> int:
        place = len(self._places)
        if place == GATEWAYS:
            place = self._places.pop(next(iter(self._places)))
        self._own[_COUNTS_AT + place] = 0
        self._own[GATEWAYS_AT + place] = name
        return place

    def __repr__(self) -> str:
        return f"<Received from {len(self._places)} gateways>"


def _name(gateway: bytes) -> int:
    """Return what stands for it in a cell: above 0."""
    return int.from_bytes(blake2b(gateway, digest_size=7).digest()) + 1
