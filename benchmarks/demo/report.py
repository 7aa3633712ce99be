"""What remains when the demo is over: one table of what agents saw, one of what each replica did."""

from collections.abc import Iterable, Mapping

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.table import Table

from benchmarks.demo.tally import Tally, percentile
from benchmarks.demo.watch import Replica


def report(tally: Tally, replicas: Iterable[Replica], elapsed_s: float, lives: Mapping[str, int]) -> RenderableType:
    """`lives` counts how often each replica was started."""
    return Group(_agents(tally, elapsed_s), _replicas(replicas, lives))


def _agents(tally: Tally, elapsed_s: float) -> Table:
    ttft_s = [request.ttft_s for request in tally.done]
    tpot_s = [request.tpot_s for request in tally.done]
    table = Table("what the agents saw", "", box=ROUNDED, title_justify="left")
    table.columns[1].justify = "right"
    table.add_row("requests", f"{len(tally.done)} of {tally.planned}")
    table.add_row("failures", str(len(tally.failures)), style="red" if tally.failures else "green")
    table.add_row("requests that were begun again as a whole", str(tally.retried))
    table.add_row("tokens in answers", f"{tally.useful_tokens:,}")
    table.add_row("tokens thrown away with failed attempts", f"{tally.tokens - tally.useful_tokens:,}")
    table.add_row("tokens/s", f"{tally.tokens / elapsed_s:,.0f}")
    table.add_row("time to first token, p50", f"{1000 * percentile(ttft_s, 50):.0f} ms")
    table.add_row("time to first token, p99 (failed attempts included)", f"{1000 * percentile(ttft_s, 99):.0f} ms")
    table.add_row("time per output token, p50", f"{1000 * percentile(tpot_s, 50):.1f} ms")
    table.add_row("time per output token, p99", f"{1000 * percentile(tpot_s, 99):.1f} ms")
    table.add_row("time in all", f"{elapsed_s:.1f} s")
    return table


def _replicas(replicas: Iterable[Replica], lives: Mapping[str, int]) -> Table:
    table = Table("replica", "state", "answered", "broken", "lives", box=ROUNDED)
    for column in table.columns[2:]:
        column.justify = "right"
    for replica in replicas:
        broken = str(replica.broken)
        table.add_row(replica.name, replica.state, str(replica.answered), broken, str(lives[replica.name]))
    return table
