"""What is worked out of each view, kept until that view is replaced."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from gateway.types import View

__all__ = ["ViewColumns", "found"]

T = TypeVar("T")

_MOST_COLUMNS: Final = 32
"""Policies ask for a few; one that asks by a new function each time gets no more memory than this."""

_MOST_GROUPS: Final = 64
"""Sets of replicas that have the same of a prompt cached: the largest are those of system prompts, which are few."""

_MOST_REPLACED: Final = 256
"""And as many as there are views, then columns are begun anew."""


class ViewColumns:
    """Of a list of views whose ids, and their order, stay. It alone replaces views there."""

    def __init__(self, views: list[View]) -> None:
        self._views = views
        self.places: Mapping[str, int] = {view.id: place for place, view in enumerate(views)}
        """By replica id."""
        self._columns: dict[Callable[[View], Any], list[Any]] = {}
        self._read_to: dict[Callable[[View], Any], int] = {}
        self._replaced: list[int] = []
        self._groups: dict[tuple[str, ...], Sequence[int]] = {}
        self._once: dict[Callable[[Sequence[View]], Any], Any] = {}

    def replace(self, place: int, view: View) -> None:
        self._views[place] = view
        if self._columns:
            self._replaced.append(place)
            if len(self._replaced) > _MOST_REPLACED + len(self._views):
                self._forget()

    def column(self, of: Callable[[View], T]) -> Sequence[T]:
        """Return `of` each view: the same list again and again, which is not the caller's to change."""
        kept = self._columns.get(of)
        if kept is None:
            kept = [of(view) for view in self._views]
            if len(self._columns) >= _MOST_COLUMNS:
                self._forget()
            self._columns[of] = kept
        elif replaced := self._replaced[self._read_to[of] :]:
            for place in replaced if len(replaced) < len(self._views) else range(len(self._views)):
                kept[place] = of(self._views[place])
        self._read_to[of] = len(self._replaced)
        return kept

    def once(self, of: Callable[[Sequence[View]], T]) -> T:
        """Return `of` all views, which must depend on nothing but their ids."""
        if of not in self._once:
            if len(self._once) >= _MOST_COLUMNS:
                self._once.clear()
            self._once[of] = of(self._views)
        kept: T = self._once[of]
        return kept

    def group(self, ids: tuple[str, ...]) -> Sequence[int]:
        """Return where those of them stand that are here: kept, for many prompts begin alike."""
        kept = self._groups.get(ids)
        if kept is None:
            if len(self._groups) >= _MOST_GROUPS:
                self._groups.clear()
            kept = self._groups[ids] = found(self.places, ids)
        return kept

    def _forget(self) -> None:
        self._columns.clear()
        self._read_to.clear()
        self._replaced.clear()


def found(places: Mapping[str, int], ids: tuple[str, ...]) -> Sequence[int]:
    """Return where the replicas of these ids stand, without those that are not there."""
    return [places[replica_id] for replica_id in ids if replica_id in places]
