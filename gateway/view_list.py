"""The views that a worker shows its policies."""

from collections.abc import Iterable

from gateway.types import View
from gateway.view_columns import ViewColumns

__all__ = ["ViewList"]


class ViewList(list[View]):
    """A list like any other for those who only read it. For those who compare many views it keeps columns."""

    __slots__ = ("columns",)

    def __init__(self, views: Iterable[View]) -> None:
        super().__init__(views)
        self.columns = ViewColumns(self)
