"""The report of a run, as Markdown."""

from collections.abc import Callable, Sequence
from statistics import fmean

from benchmarks.marks import Marks, table
from benchmarks.overhead.figures import DIRECT, Figures, Spread
from benchmarks.overhead.targets import targets

PAGE = "benchmarks.md"
MARKS = Marks("overhead", "make bench-overhead")
README = "README.md"
README_MARKS = Marks("cost", "make bench-overhead")
_README_PEERS = ("gateway", "gateway compiled", "Envoy", "HAProxy", "nginx", "grpc.aio")
QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


def report(figures: Figures, plots: Sequence[tuple[str, str]] = ()) -> str:
    """Return the text; `plots` are titles and files."""
    sections = {
        "Targets": _targets(figures),
        "CPU time a message, and an RPC": _cpu(figures) if figures.shapes else "",
        "Messages and RPCs a second": _rates(figures),
        "Added latency": _latencies(figures),
        "Memory": _memory(figures) if figures.run.idle else "",
        "What agents and replicas took": _ends(figures) if figures.shapes else "",
        "Left out": _left_out(figures),
    }
    parts = [_how(figures), *(f"![{title}]({file})" for title, file in plots)]
    parts += [f"### {title}\n\n{text}" for title, text in sections.items() if text]
    return "\n\n".join(parts) + "\n"


def summary(figures: Figures) -> str:
    """Return the few figures that the README shows."""
    peers = [peer for peer in _README_PEERS if peer in figures.peers]

    def row(name: str, find: Callable[[str], Spread | None], digits: int, unit: float = 1.0) -> list[str]:
        found = (find(peer) for peer in peers)
        return [name, *("" if one is None else f"{one.median / unit:.{digits}f}" for one in found)]

    rows = [
        row("a token, us", lambda peer: figures.cpu_us("burst-256", peer), 1),
        row("an RPC, us", lambda peer: figures.cpu_us("rpc", peer), 0),
        row("a waiting stream, KB", figures.stream_bytes, 1, 1e3),
    ]
    return f"{figures.run.began_at}, medians:\n\n{table(('', *peers), rows)}"


def _how(figures: Figures) -> str:
    run = figures.run
    stolen = fmean(each.stolen for each in run.measured) if run.measured else 0.0
    return f"{run.machine.said(run.began_at, f'{run.rounds} rounds')} Of what is shown it took {stolen:.1%}."


def _targets(figures: Figures) -> str:
    words = {True: "pass", False: "**fail**", None: "not measured"}
    rows = ((t.what, t.where, t.limit, t.measured, words[t.is_met]) for t in targets(figures))
    return table(("target", "shape", "limit", "measured: median (range)", ""), rows)


def _cpu(figures: Figures) -> str:
    text = "Microseconds, user and system, of all processes of a peer: median of the rounds and range."
    peers = _proxies(figures)
    return text + "\n\n" + _by_shape(figures, peers, lambda shape, peer: _spread(figures.cpu_us(shape, peer), 1))


def _rates(figures: Figures) -> str:
    shapes = [shape for shape in figures.shapes if not figures.has_latency(shape)]
    if not shapes:
        return ""
    text = (
        "At one full core, from the CPU time above. In parentheses what was measured, and the share of its core that "
        "the peer then took: it waits for the slowest agent's message before each step, and for agents and replicas."
    )

    def cell(shape: str, peer: str) -> str:
        cpu_us, rate, share = (find(shape, peer) for find in (figures.cpu_us, figures.rate, figures.core_share))
        if cpu_us is None or rate is None or share is None:
            return ""
        if peer == DIRECT:
            return f"({rate.median:,.0f})"
        return f"{1e6 / cpu_us.median:,.0f} ({rate.median:,.0f} at {share.median:.0%})"

    return text + "\n\n" + _by_shape(figures, figures.peers, cell, shapes)


def _latencies(figures: Figures) -> str:
    text = (
        "Microseconds above the way without a proxy, from the moment when a message or RPC was due, whether it could "
        "be sent then or not: p50 / p99 / p99.9 over all rounds. The first column is that way itself. p99.9 is shown "
        "and not judged."
    )
    shapes = [shape for shape in figures.shapes if figures.has_latency(shape)]
    if not shapes:
        return ""

    def cell(shape: str, peer: str) -> str:
        own = [figures.latency_us(shape, peer, quantile) for quantile in QUANTILES.values()]
        direct = [figures.latency_us(shape, DIRECT, quantile) for quantile in QUANTILES.values()]
        if peer != DIRECT:
            own = [a - b for a, b in zip(own, direct, strict=True)]
        text = " / ".join("-" if value != value else f"{value:,.0f}" for value in own)
        return text if figures.keeps_up(shape, peer) else f"{text} (does not keep up)"

    return text + "\n\n" + _by_shape(figures, figures.peers, cell, shapes)


def _memory(figures: Figures) -> str:
    text = (
        "By what the resident memory of all processes of a peer grew: idle connections, and then streams that have "
        "asked and not got a token, 100 on a connection, which is counted in."
    )
    rows = (
        (
            peer,
            _spread(figures.connection_bytes(peer), 1, 1e3),
            _spread(figures.stream_bytes(peer), 1, 1e3),
            ", ".join(f"{name} {rss.median / 1e6:.0f}" for name, rss in figures.rest_bytes(peer).items()),
        )
        for peer in _proxies(figures)
        if figures.rest_bytes(peer)
    )
    return text + "\n\n" + table(("peer", "KB a connection", "KB a stream", "MB at rest (RSS)"), rows)


def _ends(figures: Figures) -> str:
    text = "Microseconds of CPU time a message or RPC, replicas + agents."

    def cell(shape: str, peer: str) -> str:
        return " + ".join(f"{end.median:.1f}" for end in _both_ends(figures, shape, peer))

    return f"{text} {_pace(figures)}\n\n{_by_shape(figures, figures.peers, cell)}"


def _both_ends(figures: Figures, shape: str, peer: str) -> list[Spread]:
    ends = (figures.cpu_us(shape, peer, group) for group in (1, 2))
    return [end for end in ends if end is not None]


def _pace(figures: Figures) -> str:
    """Say where the ends were slower than the proxy."""
    slower: list[str] = []
    for shape in figures.shapes:
        of = [(peer, figures.cpu_us(shape, peer)) for peer in _proxies(figures) if not figures.has_latency(shape)]
        ends_us = {peer: sum(end.median for end in _both_ends(figures, shape, peer)) for peer, _ in of}
        peers = [peer for peer, own in of if own is not None and ends_us[peer] > own.median]
        if peers:
            slower.append(f"{figures.run.titles[shape]}: {', '.join(peers)}")
    if not slower:
        return "Nowhere was it more than what the proxy took."
    return (
        "Where it is more than what the proxy took, the ends set the pace and the rate measured is theirs; the CPU "
        f"time of the proxy is its own all the same. That was so in {'; '.join(slower)}."
    )


def _left_out(figures: Figures) -> str:
    return "\n".join(f"- {what}: {why}" for what, why in figures.run.missing.items())


def _proxies(figures: Figures) -> list[str]:
    return [peer for peer in figures.peers if peer != DIRECT]


def _by_shape(
    figures: Figures, peers: Sequence[str], cell: Callable[[str, str], str], shapes: Sequence[str] | None = None
) -> str:
    shown = figures.shapes if shapes is None else shapes
    rows = ((figures.run.titles[shape], *(cell(shape, peer) for peer in peers)) for shape in shown)
    return table(("shape", *peers), rows)


def _spread(found: Spread | None, digits: int, unit: float = 1.0) -> str:
    if found is None:
        return ""
    median, low, high = (f"{value / unit:,.{digits}f}" for value in (found.median, found.low, found.high))
    return median if low == high else f"{median} ({low} - {high})"
