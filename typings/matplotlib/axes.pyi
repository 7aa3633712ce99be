from collections.abc import Iterable, Sequence
from typing import Literal

from matplotlib.axis import Axis
from matplotlib.container import BarContainer

class Axes:
    xaxis: Axis
    def bar_label(self, container: BarContainer, *, fmt: str, padding: float) -> object: ...
    def barh(self, y: Iterable[float], width: Sequence[float], *, color: Sequence[str]) -> BarContainer: ...
    def errorbar(
        self,
        x: Sequence[float],
        y: Sequence[float],
        *,
        xerr: Sequence[Sequence[float]],
        label: str,
        color: str,
        marker: str,
        markersize: float,
        linestyle: str,
        elinewidth: float,
    ) -> object: ...
    def get_legend_handles_labels(self) -> tuple[list[object], list[str]]: ...
    def get_xlim(self) -> tuple[float, float]: ...
    def grid(self, *, axis: Literal["x", "y"], which: Literal["major"], alpha: float) -> None: ...
    def margins(self, *, x: float) -> None: ...
    def plot(
        self,
        x: Sequence[float],
        y: Sequence[float],
        *,
        color: str,
        linestyle: str = ...,
        linewidth: float = ...,
        marker: str = ...,
        markersize: float = ...,
        markeredgewidth: float = ...,
    ) -> object: ...
    def set_title(self, label: str) -> object: ...
    def set_xlabel(self, xlabel: str) -> object: ...
    def set_xscale(self, value: Literal["linear", "log"]) -> None: ...
    def set_ylim(self, bottom: float, top: float) -> object: ...
    def set_yticks(self, ticks: Iterable[float], labels: Sequence[str]) -> object: ...
