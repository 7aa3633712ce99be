"""The live picture on a terminal, and lines of text elsewhere."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from benchmarks.demo.tally import Activity, Rate, Tally
from benchmarks.demo.watch import Replica

_SPARKS = "▁▂▃▄▅▆▇█"
_WIDTH = 96
_EVENTS = 3
_ACTIVITY_STYLES = {
    Activity.WAITING: "grey37",
    Activity.STREAMING: "cyan",
    Activity.THINKING: "blue",
    Activity.BEGINNING_AGAIN: "red",
    Activity.DONE: "green",
}
_STATE_STYLES = {
    "ready": "green",
    "starting": "yellow",
    "probation": "yellow",
    "suspect": "yellow",
    "draining": "yellow",
    "ejected": "red",
    "gone": "red",
}


class Watched(Protocol):
    @property
    def replicas(self) -> Mapping[str, Replica]: ...


class View:
    """Draws what `tally` and `watch` know at the moment."""

    def __init__(self, title: str, tally: Tally, watch: Watched, clock: Callable[[], float]) -> None:
        self._title = title
        self._tally = tally
        self._watch = watch
        self._clock = clock
        self._begun_at = clock()
        self._rate = Rate(window_s=1.0)
        self._rates: deque[float] = deque(maxlen=60)
        self._events: list[Text] = []

    def note(self, text: str, style: str = "") -> Text:
        """Write down that something happened; return it with its time."""
        event = Text.assemble((f"{self._clock() - self._begun_at:5.1f} s  ", "dim"), (text, style))
        self._events.append(event)
        return event

    def sample(self) -> None:
        """Take another point of the curve."""
        self._rates.append(self._rate.add(self._tally.tokens, self._clock()))

    def picture(self) -> RenderableType:
        return Panel(
            Group(
                self._progress(),
                Text("  ").join(_legend(self._tally.activities)),
                self._counts(),
                Padding(replica_table(self._watch.replicas.values()), (1, 0)),
                *self._events[-_EVENTS:],
                *[Text()] * (_EVENTS - len(self._events)),
            ),
            title=self._title,
            title_align="left",
            border_style="blue",
            padding=(1, 2),
            width=_WIDTH,
        )

    def line(self) -> str:
        """Return the same in one line of text."""
        tally = self._tally
        replicas = ", ".join(
            f"{replica.name} {replica.state} {replica.in_flight}" for replica in self._watch.replicas.values()
        )
        elapsed_s = self._clock() - self._begun_at
        return (
            f"{elapsed_s:5.1f} s  {tally.ended}/{tally.planned} requests, {self._latest():,.0f} tokens/s, "
            f"{tally.retries} retries, {len(tally.failures)} failures; in flight: {replicas}"
        )

    def _latest(self) -> float:
        return self._rates[-1] if self._rates else 0.0

    def _progress(self) -> Table:
        tally = self._tally
        grid = Table.grid(padding=(0, 2))
        bar = ProgressBar(
            total=tally.planned, completed=tally.ended, width=60, complete_style="cyan", finished_style="green"
        )
        grid.add_row("requests", bar, f"{tally.ended} of {tally.planned}")
        grid.add_row("tokens/s", Text(sparkline(self._rates), "cyan"), Text(f"{self._latest():,.0f}", "bold"))
        grid.add_row("agents", Text.assemble(*[("■", _ACTIVITY_STYLES[one]) for one in tally.activities]))
        return grid

    def _counts(self) -> Text:
        retries, failures = self._tally.retries, self._tally.failures
        counts = Text(overflow="ellipsis", no_wrap=True)
        counts.append(f"{retries} whole requests begun again, ", "yellow" if retries else "dim")
        counts.append(f"{len(failures)} failed", "red" if failures else "dim")
        return counts.append(f": {failures[-1]}" if failures else "", "red")


def _legend(activities: Sequence[Activity]) -> Iterator[Text]:
    for activity, style in _ACTIVITY_STYLES.items():
        count = activities.count(activity)
        yield Text.assemble(("■", style), (f" {activity.value}", "dim"), f" {count}")


def replica_table(replicas: Iterable[Replica]) -> Table:
    """Return the table of what serves what now."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("replica")
    table.add_column("state", width=10)
    table.add_column("streams now", width=24)
    for heading in ("queued", "KV cache", "answered", "broken"):
        table.add_column(heading, justify="right")
    for replica in replicas:
        style = _STATE_STYLES.get(replica.state, "")
        table.add_row(
            replica.name,
            Text(f"● {replica.state}", style),
            Text("■" * min(20, replica.in_flight), "cyan").append(f" {replica.in_flight}", "dim"),
            str(replica.queued),
            f"{replica.kv_used:.1%}",
            str(replica.answered),
            Text(str(replica.broken), "red" if replica.broken else ""),
        )
    return table


def sparkline(values: Iterable[float]) -> str:
    """Return one character a value, scaled to the highest."""
    values = list(values)
    top = max(values, default=0.0)
    if top <= 0:
        return ""
    return "".join(_SPARKS[min(len(_SPARKS) - 1, int(value / top * len(_SPARKS)))] for value in values)
