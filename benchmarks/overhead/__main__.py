"""What a worker spends on a message, beside its peers: one run, interleaved, on one machine.

make bench-overhead
"""

import argparse
import sys
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.overhead import results
from benchmarks.overhead.interleave import Interleaved, Plan
from benchmarks.overhead.latency import pooled, quantile_us
from benchmarks.overhead.machine import cores
from benchmarks.overhead.peers import PEERS
from benchmarks.overhead.results import Run
from benchmarks.overhead.shapes import IDLE, SHAPES


def show(run: Run, console: Console) -> None:
    table = Table(
        "shape", "peer", "CPU us", "range", "rate/s", "core %", "replica us", "load us", "p50 us", "p99", "p99.9"
    )
    for shape, title in run.titles.items():
        peers = dict.fromkeys(one.peer for one in run.measured)
        for peer in sorted(peers, key=list(PEERS).index):
            of = [one.result for one in run.measured if one.shape == shape and one.peer == peer]
            if not of:
                continue
            done = [r.rpcs if run.units[shape] == "RPC" else r.messages for r in of]
            us = [[r.cpu_s[i] / max(n, 1) * 1e6 for r, n in zip(of, done, strict=True)] for i in range(3)]
            latency = pooled(r.latency for r in of)
            table.add_row(
                title,
                peer,
                f"{median(us[0]):.1f}",
                f"{min(us[0]):.1f} - {max(us[0]):.1f}",
                f"{median(n / r.wall_s for r, n in zip(of, done, strict=True)):,.0f}",
                f"{median(r.cpu_s[0] / r.wall_s for r in of):.0%}",
                f"{median(us[1]):.1f}",
                f"{median(us[2]):.1f}",
                *(f"{quantile_us(latency, q):,.0f}" if latency else "" for q in (0.5, 0.99, 0.999)),
            )
    console.print(table)
    for idle in run.idle:
        console.print(
            f"idle {idle.peer}: {idle.connections_bytes / idle.connections / 1e3:.1f} KB a connection, "
            f"{idle.streams_bytes / idle.streams / 1e3:.1f} KB a stream, at rest "
            + ", ".join(f"{k} {m.rss / 1e6:.0f} MB (PSS {m.pss / 1e6:.0f})" for k, m in idle.at_rest.items())
        )
    console.print(f"decision: {median(run.decision_us):.1f} us")
    for what, why in run.missing.items():
        console.print(f"{what}: {why}", markup=False)
    console.print(f"others took {run.machine.busy_with_others:.0%} of the machine")


def _names(known: "list[str]") -> "type":
    def parse(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(known)}")
        return names

    return parse  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    shapes = [*SHAPES, IDLE]
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=_names(list(PEERS)), default=list(PEERS))
    parser.add_argument("--shapes", type=_names(shapes), default=shapes)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console(width=200)
    q = arguments.quick
    plan = Plan(
        peers=arguments.peers,
        shapes=arguments.shapes,
        rounds=1 if q else arguments.rounds,
        idle_rounds=1 if q else 2,
        idle_streams=200 if q else 10_000,
        idle_connections=50 if q else 1_000,
        is_quick=q,
    )
    run = Interleaved(plan, cores(), lambda line: print(line, file=sys.stderr)).run()
    show(run, console)
    if arguments.json:
        results.save(run, arguments.json)


if __name__ == "__main__":
    main()
