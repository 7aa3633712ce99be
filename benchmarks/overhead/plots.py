"""The plots of a run, as SVG and PNG."""

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from benchmarks.overhead.figures import DIRECT, Figures, Spread
from benchmarks.overhead.report import QUANTILES

COLOURS = {
    "direct": "#000000",
    "gateway": "#0072B2",
    "gateway compiled": "#56B4E9",
    "gateway 2 workers": "#117733",
    "gateway opaque": "#332288",
    "grpc.aio": "#E69F00",
    "Envoy": "#D55E00",
    "HAProxy": "#009E73",
    "nginx": "#CC79A7",
    "frame floor": "#999999",
}
"""Those of Okabe and Ito, which colour-blind people can tell apart, and three more."""
MARKERS = dict(zip(COLOURS, "|ospDvX^P.", strict=True))
_DPI = 144
_WIDE = 500
"""An axis from 1 to this has no room for numbers between the powers of ten."""
_ROW = 0.7
"""Of a row's height, what its marks spread over."""
_STYLE = {"svg.hashsalt": "overhead", "font.size": 9.0, "axes.titlesize": 10.0, "axes.spines.top": False}


def draw(figures: Figures, folder: Path) -> list[tuple[str, Path]]:
    """Write the plots; return their titles and files."""
    files: list[tuple[str, Path]] = []
    with mpl.rc_context({**_STYLE, "axes.spines.right": False}):
        for title, name, plot in (
            ("CPU time", "overhead-cpu", _cpu),
            ("Latency", "overhead-latency", _latency),
            ("Memory", "overhead-memory", _memory),
        ):
            drawn = plot(figures)
            if drawn is None:
                continue
            for suffix in ("svg", "png"):
                file = folder / f"{name}.{suffix}"
                drawn.savefig(file, dpi=_DPI, metadata={"Date": None} if suffix == "svg" else None)
                files.append((title, file))
    return files


def _cpu(figures: Figures) -> Figure | None:
    """One row for each shape, one mark for each peer."""
    units = [unit for unit in ("message", "RPC") if any(figures.run.units[shape] == unit for shape in figures.shapes)]
    if not units:
        return None
    by_unit = [[shape for shape in figures.shapes if figures.run.units[shape] == unit] for unit in units]
    figure = Figure(figsize=(9.0, 1.6 + 0.6 * len(figures.shapes)), layout="constrained")
    grid = figure.add_gridspec(len(units), 1, height_ratios=[len(shapes) for shapes in by_unit])
    for row, (unit, shapes) in enumerate(zip(units, by_unit, strict=True)):
        axes = figure.add_subplot(grid[row, 0])
        proxies = [peer for peer in figures.peers if peer != DIRECT]
        for number, peer in enumerate(proxies):
            # Side by side in their row, so that none hides another.
            _mark_cpu(axes, figures, shapes, peer, _ROW * (number / len(proxies) - 0.5))
        _name_rows(axes, [figures.run.titles[shape] for shape in shapes])
        _scale(axes)
        axes.set_xlabel(f"CPU time, us a{'n' * (unit == 'RPC')} {unit} (log scale; median and range of the rounds)")
        if not row:
            figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    return figure


def _mark_cpu(axes: Axes, figures: Figures, shapes: Sequence[str], peer: str, offset: float) -> None:
    found = [(row, cpu) for row, shape in enumerate(shapes) if (cpu := figures.cpu_us(shape, peer)) is not None]
    medians = [cpu.median for _, cpu in found]
    ranges = [[cpu.median - cpu.low for _, cpu in found], [cpu.high - cpu.median for _, cpu in found]]
    rows = [row + offset for row, _ in found]
    axes.errorbar(
        medians,
        rows,
        xerr=ranges,
        label=peer,
        color=COLOURS[peer],
        marker=MARKERS[peer],
        markersize=6.0,
        linestyle="none",
        elinewidth=1.0,
    )


def _latency(figures: Figures) -> Figure | None:
    """One panel for each shape, in it one row for each peer: p50, p99, p99.9."""
    shapes = [shape for shape in figures.shapes if figures.has_latency(shape)]
    if not shapes:
        return None
    columns = 2
    rows = -(-len(shapes) // columns)
    figure = Figure(figsize=(9.0, 0.8 + rows * (0.8 + 0.22 * len(figures.peers))), layout="constrained")
    for number, shape in enumerate(shapes):
        axes = figure.add_subplot(rows, columns, number + 1)
        for row, peer in enumerate(figures.peers):
            p50, p99, p999 = (figures.latency_us(shape, peer, quantile) / 1e3 for quantile in QUANTILES.values())
            axes.plot([p50, p99], [row, row], color=COLOURS[peer], linewidth=2.0)
            axes.plot([p99, p999], [row, row], color=COLOURS[peer], linewidth=1.0, linestyle=":")
            axes.plot([p50], [row], color=COLOURS[peer], marker="o", markersize=5.0)
            axes.plot([p99], [row], color=COLOURS[peer], marker="|", markersize=10.0, markeredgewidth=2.0)
            axes.plot([p999], [row], color=COLOURS[peer], marker=".", markersize=4.0)
        _name_rows(axes, figures.peers)
        _scale(axes)
        axes.set_title(figures.run.titles[shape])
    figure.supxlabel("ms from the due moment, log scale: dot p50, bar p99, small dot p99.9", fontsize="medium")
    return figure


def _memory(figures: Figures) -> Figure | None:
    peers = [peer for peer in figures.peers if figures.rest_bytes(peer)]
    if not peers:
        return None
    figure = Figure(figsize=(9.0, 1.0 + 0.3 * len(peers)), layout="constrained")
    panels: Sequence[tuple[str, Callable[[str], float]]] = (
        ("KB a stream before its first token", lambda peer: _median(figures.stream_bytes(peer)) / 1e3),
        ("KB an idle connection", lambda peer: _median(figures.connection_bytes(peer)) / 1e3),
        (
            "MB at rest, all processes (RSS)",
            lambda peer: sum(one.median for one in figures.rest_bytes(peer).values()) / 1e6,
        ),
    )
    for number, (title, value) in enumerate(panels):
        axes = figure.add_subplot(1, len(panels), number + 1)
        bars = axes.barh(range(len(peers)), [value(peer) for peer in peers], color=[COLOURS[peer] for peer in peers])
        axes.bar_label(bars, fmt="%.1f", padding=3)
        axes.margins(x=0.2)
        _name_rows(axes, peers if not number else [""] * len(peers))
        axes.set_title(title)
    return figure


def _median(found: Spread | None) -> float:
    return found.median if found else 0.0


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", which="major", alpha=0.3)


def _scale(axes: Axes) -> None:
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high / low < _WIDE else (1.0,)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
