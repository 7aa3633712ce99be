"""A number for each replica, from pick to pick."""

from collections.abc import Sequence

from gateway.policies.columns import ids
from gateway.types import View

__all__ = ["Remembered"]

_MOST = 10_000
"""Replica ids; where names change with each deployment they would grow for ever."""


class Remembered:
    """0 for those that are new. Those that are not among the views keep theirs."""

    def __init__(self) -> None:
        self._numbers: dict[str, float] = {}
        self._ids: Sequence[str] = ()
        self._shown: list[float] = []

    def of(self, views: Sequence[View]) -> list[float]:
        """Return the numbers in the order of the views: the caller changes them there."""
        now = ids(views)
        # The same object: the same replicas in the same order (gateway.view_columns).
        if now is not self._ids:
            self._numbers.update(zip(self._ids, self._shown, strict=True))
            if len(self._numbers) > _MOST:
                self._numbers = {each: self._numbers[each] for each in now if each in self._numbers}
            self._ids, self._shown = now, [self._numbers.get(each, 0) for each in now]
        return self._shown
