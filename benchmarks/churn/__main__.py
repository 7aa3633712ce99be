"""Replicas come, go, freeze and die, and policies take turns, while agents stream: python -m benchmarks.churn

Passes where the lease audit is 0, no request was sent to a replica that was not ready for more than a second (but in
panic), and none failed before its first token that had a ready replica. Streams lost after it are counted apart.
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks.churn.report import report
from benchmarks.churn.run import churn
from benchmarks.processes import NotReady

_WRONG_SHOWN = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.churn", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3_600.0, help="how long (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of what happens when (%(default)s)")
    parser.add_argument("--rate", type=float, default=30.0, help="streams a second at the most (%(default)s)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for the logs; else they are deleted")
    arguments = parser.parse_args()
    console = Console(highlight=False)
    try:
        with tempfile.TemporaryDirectory() as made:
            folder = arguments.keep or Path(made)
            folder.mkdir(parents=True, exist_ok=True)
            result = asyncio.run(churn(folder, console, arguments.seconds, arguments.seed, arguments.rate))
    except NotReady as error:
        print(f"churn: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    console.print(report(result))
    wrong = result.verdict.wrong
    for what in wrong[:_WRONG_SHOWN]:
        console.print(what, style="red", markup=False, soft_wrap=True)
    if len(wrong) > _WRONG_SHOWN:
        console.print(f"and {len(wrong) - _WRONG_SHOWN} more", style="red")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
