"""Where the numbers stand in a serialized load report. A replica's next report has other numbers in the same places, so
it is read by one `struct` instead of protobuf, whose maps cost more than all else that a request's end asks for."""

from math import isfinite
from operator import itemgetter
from struct import Struct
from typing import Final

from gateway.rpc.orca import MAPS, PLACES, Numbers, Place

__all__ = ["Layout", "layout_of"]

_NUMBER_BYTES: Final = 8
_FIXED64: Final = 1
_LENGTH_DELIMITED: Final = 2
# Of an entry of map<string, double> (protobuf's encoding, "Maps"): a key, then a value.
_KEY: Final = 1 << 3 | _LENGTH_DELIMITED
_VALUE: Final = 2 << 3 | _FIXED64
_ABSENT: Final = tuple([default for _, default in PLACES])


class Layout:
    """What all reports have in common that differ in their numbers alone: the bytes between these."""

    __slots__ = ("_between", "_pick", "_unpack")

    def __init__(self, serialized: bytes, found: dict[Place, int]) -> None:
        """`found` says where each number begins, in their order."""
        at = 0
        form = "<"
        for start in found.values():
            form += f"{start - at}sd"
            at = start + _NUMBER_BYTES
        self._unpack = Struct(f"{form}{len(serialized) - at}s").unpack
        self._between = self._unpack(serialized)[::2]
        order = {place: number for number, place in enumerate(found)}
        # What a report does not name stands behind its numbers.
        self._pick = itemgetter(*[order.get(place, len(found) + number) for number, (place, _) in enumerate(PLACES)])

    def read(self, serialized: bytes) -> Numbers | None:
        """Return the numbers of a report as long as the first one. None: it has another layout, or a number that is not
        finite, which asks for a closer look."""
        parts = self._unpack(serialized)
        numbers = parts[1::2]
        if parts[::2] != self._between or not isfinite(sum(numbers)):
            return None
        picked: Numbers = self._pick(numbers + _ABSENT)
        return picked


def layout_of(serialized: bytes) -> Layout | None:
    """Return the layout of a report that protobuf has taken. None: not only numbers stand in it, each once."""
    found: dict[Place, int] = {}
    at = 0
    while at < len(serialized):
        place = _place_at(serialized, at)
        if place is None or place in found:
            return None
        # A number by itself stands behind its tag, an entry of a map ends with it.
        at += 1 if not place[1] else 2 + serialized[at + 1] - _NUMBER_BYTES
        found[place] = at
        at += _NUMBER_BYTES
    return Layout(serialized, found)


def _place_at(serialized: bytes, at: int) -> Place | None:
    """Return which number the field at `at` has. None: no number, or the entry is longer than short ones are."""
    field, kind = serialized[at] >> 3, serialized[at] & 7
    if kind == _FIXED64:
        return field, ""
    if kind != _LENGTH_DELIMITED or field not in MAPS:
        return None
    size = serialized[at + 1]
    entry = serialized[at + 2 : at + 2 + size]
    name = entry[2 : -1 - _NUMBER_BYTES]
    is_short = size < 0x80 and name and entry[:2] == bytes((_KEY, len(name)))
    return (field, name.decode()) if is_short and entry[-1 - _NUMBER_BYTES] == _VALUE else None
