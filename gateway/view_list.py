"""Views with columns: what is worked out of each view is kept until that view is replaced."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from gateway.types import View

__all__ = ["ViewList", "column", "places"]

T = TypeVar("T")

_MOST_COLUMNS = 32
"""Policies ask for a few; one that asks by a new function each time gets no more memory than this."""

_MOST_GROUPS = 64

_MOST_REPLACED = 256
"""And as many as there are views, then columns are begun anew."""


class ViewList(list[View]):
    """The ids of the views, and their order, stay. Only its owner replaces views."""

    def __init__(self, views: Iterable[View]) -> None:
        super().__init__(views)
        self.places: Mapping[str, int] = {view.id: place for place, view in enumerate(self)}
        """By replica id."""
        self._columns: dict[Callable[[View], Any], list[Any]] = {}
        self._read_to: dict[Callable[[View], Any], int] = {}
        self._replaced: list[int] = []
        self._groups: dict[tuple[str, ...], Sequence[int]] = {}

    def replace(self, place: int, view: View) -> None:
        self[place] = view
        if self._columns:
            self._replaced.append(place)
            if len(self._replaced) > _MOST_REPLACED + len(self):
                self._forget()

    def column(self, of: Callable[[View], T]) -> Sequence[T]:
        """Return `of` each view: the same list again and again, which is not the caller's to change."""
        kept = self._columns.get(of)
        if kept is None:
            kept = [of(view) for view in self]
            if len(self._columns) >= _MOST_COLUMNS:
                self._forget()
            self._columns[of] = kept
        elif replaced := self._replaced[self._read_to[of] :]:
            for place in replaced if len(replaced) < len(self) else range(len(self)):
                kept[place] = of(self[place])
        self._read_to[of] = len(self._replaced)
        return kept

    def group(self, ids: tuple[str, ...]) -> Sequence[int]:
        """Return where those of them stand that are here: kept, for many prompts begin alike."""
        kept = self._groups.get(ids)
        if kept is None:
            if len(self._groups) >= _MOST_GROUPS:
                self._groups.clear()
            kept = self._groups[ids] = _found(self.places, ids)
        return kept

    def _forget(self) -> None:
        self._columns.clear()
        self._read_to.clear()
        self._replaced.clear()


def column(views: Sequence[View], of: Callable[[View], T]) -> Sequence[T]:
    """Return `of` each view, which must depend on nothing but the view. Where the views are a worker's own it is worked
    out only for those that are new."""
    return views.column(of) if isinstance(views, ViewList) else [of(view) for view in views]


def places(views: Sequence[View], ids: tuple[str, ...]) -> Sequence[int]:
    """Return where in `views` the replicas of these ids stand, without those that are not there."""
    if isinstance(views, ViewList):
        return views.group(ids)
    return _found({view.id: place for place, view in enumerate(views)}, ids)


def _found(places: Mapping[str, int], ids: tuple[str, ...]) -> Sequence[int]:
    return [places[replica_id] for replica_id in ids if replica_id in places]
