"""What the gateway costs beside its peers: one run, interleaved and pinned, on one machine.

make bench-overhead
"""

import argparse
import pkgutil
import sys
from collections.abc import Callable, Collection
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from benchmarks.overhead import results
from benchmarks.overhead.ends import Failed
from benchmarks.overhead.figures import Figures
from benchmarks.overhead.interleave import Interleaved, Plan
from benchmarks.overhead.machine import cores
from benchmarks.overhead.peers import FLOOR, PEERS
from benchmarks.overhead.report import report
from benchmarks.overhead.results import Run
from benchmarks.overhead.shapes import IDLE, SHAPES
from benchmarks.processes import NotReady

_PROGRAM = "benchmarks.overhead"
_WRITE = "benchmarks.overhead.pages:write"
_IDLE_STREAMS, _IDLE_CONNECTIONS = 10_000, 1_000


def main() -> None:
    arguments = _parser().parse_args()
    try:
        # Before anything is measured: it needs matplotlib, which nothing else does.
        write: Callable[[Run, Path], list[Path]] | None = arguments.write and pkgutil.resolve_name(_WRITE)
        run = _measure(arguments) if arguments.report is None else results.load(arguments.report)
        if arguments.json:
            results.save(run, arguments.json)
        for file in write(run, arguments.write) if write else ():
            print(f"written: {file}", file=sys.stderr)
    except ImportError as error:
        sys.exit(f"{_PROGRAM}: {error}; `make .venv/bench` installs what plots need")
    except KeyboardInterrupt:
        sys.exit(130)
    except (OSError, ValueError, Failed, NotReady) as error:
        sys.exit(f"{_PROGRAM}: {error}")
    Console().print(Markdown(report(Figures(run))))


def _measure(arguments: argparse.Namespace) -> Run:
    is_quick: bool = arguments.quick
    plan = Plan(
        peers=arguments.peers or [peer for peer in PEERS if peer != FLOOR or arguments.full],
        shapes=arguments.shapes,
        rounds=arguments.rounds or (1 if is_quick else 10 if arguments.full else 5),
        idle_rounds=1 if is_quick else 5,
        idle_streams=200 if is_quick else _IDLE_STREAMS,
        idle_connections=50 if is_quick else _IDLE_CONNECTIONS,
        is_quick=is_quick,
    )
    return Interleaved(plan, cores(), lambda line: print(line, file=sys.stderr, flush=True)).run()


def _parser() -> argparse.ArgumentParser:
    shapes = [*SHAPES, IDLE]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.overhead", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=_names(PEERS), help=f"all but {FLOOR}, unless told; of {', '.join(PEERS)}")
    parser.add_argument("--shapes", type=_names(shapes), default=shapes, help=f"of {', '.join(shapes)}")
    parser.add_argument("--rounds", type=int, help="5 unless told")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="does it work? The figures say nothing")
    size.add_argument("--full", action="store_true", help="all peers, 10 rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw results there")
    parser.add_argument("--write", type=Path, metavar="DOCS", help="write results, plots and report into this folder")
    parser.add_argument("--report", type=Path, metavar="FILE", help="report on raw results, and measure nothing")
    return parser


def _names(known: Collection[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return names

    return parse


if __name__ == "__main__":
    main()
