"""What remains when a run is over."""

from collections import Counter

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.table import Table

from benchmarks.churn.run import Result


def report(result: Result) -> RenderableType:
    return Group(_streams(result), _replicas(result))


def _streams(result: Result) -> Table:
    tally, verdict = result.tally, result.verdict
    table = Table("what the agents saw", "", box=ROUNDED)
    table.columns[1].justify = "right"
    table.add_row("whole streams", f"{tally.whole:,}")
    table.add_row("cancelled by their agents", f"{tally.cancelled:,}")
    table.add_row("lost after their first token: UNAVAILABLE", f"{tally.lost.total():,}")
    table.add_row("failed before it, and no replica was ready", f"{verdict.excused:,}")
    table.add_row("connections", f"{tally.connections:,}")
    table.add_row("episodes", _listed(result.done))
    table.add_row("states that replicas came to", _listed(result.logged))
    table.add_row("turns of policies", f"{len(result.turns)}, {len(set(result.turns))} different")
    wrong = len(verdict.wrong)
    table.add_row("promises broken", str(wrong), style="red" if wrong else "green")
    return table


def _replicas(result: Result) -> Table:
    table = Table("replica", "requests sent to it", "of these, in panic", box=ROUNDED)
    for column in table.columns[1:]:
        column.justify = "right"
    for replica, count in sorted(result.verdict.attempts.items()):
        table.add_row(replica, f"{count:,}", str(result.verdict.in_panic[replica]))
    return table


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.most_common())
