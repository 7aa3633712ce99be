"""What remains when the demo is over: one table of what agents saw, one of what each replica did."""

from collections.abc import Iterable, Mapping

from rich.box import ROUNDED
from rich.console import Group, RenderableType
from rich.table import Table

from benchmarks.demo.tally import Request, Tally, percentile
from benchmarks.demo.watch import Replica


def report(tally: Tally, replicas: Iterable[Replica], elapsed_s: float, lives: Mapping[str, int]) -> RenderableType:
    """`lives` counts how often each replica was started."""
    return Group(_agents(tally, elapsed_s), _replicas(replicas, lives))


def _agents(tally: Tally, elapsed_s: float) -> Table:
    table = Table("what the agents saw", "", "p50", "p99", box=ROUNDED)
    for column in table.columns[1:]:
        column.justify = "right"
    table.add_row("requests", f"{len(tally.done)} of {tally.planned}")
    table.add_row("failures", str(len(tally.failures)), style="red" if tally.failures else "green")
    table.add_row("requests begun again as a whole", str(len(_begun_again(tally))))
    table.add_row("tokens in answers", f"{tally.useful_tokens:,}")
    table.add_row("tokens lost with failed attempts", f"{tally.tokens - tally.useful_tokens:,}")
    table.add_row("tokens/s", f"{tally.tokens / elapsed_s:,.0f}")
    smooth = [request for request in tally.done if not request.retries]
    table.add_row("time to first token, ms", "", *_spread([request.ttft_s for request in smooth], digits=0))
    again = [request.ttft_s for request in _begun_again(tally)]
    table.add_row("  of those begun again, from the first attempt", "", *_spread(again, digits=0))
    table.add_row("time per output token, ms", "", *_spread([request.tpot_s for request in tally.done], digits=1))
    table.add_row("time in all, s", f"{elapsed_s:.1f}")
    return table


def _begun_again(tally: Tally) -> list[Request]:
    return [request for request in tally.done if request.retries]


def _spread(values_s: list[float], digits: int) -> tuple[str, str]:
    """Return p50 and p99 in milliseconds."""
    p50, p99 = (f"{1000 * percentile(values_s, percent):,.{digits}f}" for percent in (50, 99))
    return (p50, p99) if values_s else ("", "")


def _replicas(replicas: Iterable[Replica], lives: Mapping[str, int]) -> Table:
    columns = ("answered", "broken", "messages", "TTFT mean, ms", "TPOT mean, ms", "lives")
    table = Table("replica", "state", *columns, box=ROUNDED)
    table.columns[0].min_width = max(map(len, lives))  # or it is the one that is cut in a narrow terminal
    for column in table.columns[2:]:
        column.justify = "right"
    for replica in replicas:
        means = (f"{1000 * replica.first_token_s:.0f}", f"{1000 * replica.inter_token_s:.1f}")
        counts = (str(replica.answered), str(replica.broken), f"{replica.messages:,}")
        table.add_row(replica.name, replica.state, *counts, *means, str(lives[replica.name]))
    return table
