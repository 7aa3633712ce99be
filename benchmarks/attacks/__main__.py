"""What one hostile peer does to the others: python -m benchmarks.attacks [NAME ...]

Prints the latency of a well-behaved agent's short requests, quiet and under each attack, and how much the worker's
memory grew meanwhile.
"""

import argparse
import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.attacks.attacks import ATTACKS
from benchmarks.attacks.siege import Outcome, Siege
from benchmarks.cluster import Cluster, Plan
from benchmarks.processes import Processes

_SIMULATED = ("--engine", "simulated", "--speedup", "20")
_MIB = 1024 * 1024


async def _run(siege: Siege, names: Sequence[str], seconds: float) -> bool:
    """Return whether no request failed."""
    await siege.run(None, 2.0)
    quiet = await siege.run(None, seconds)
    print("| peer | p50 ms | p99 ms | p99 / quiet | failed | cut off | RSS before MB | grew by MB |")
    print("|---|---|---|---|---|---|---|---|")
    _print("quiet", quiet, quiet)
    is_unhurt = not quiet.failures
    for name in names:
        outcome = await siege.run(name, seconds)
        _print(name, outcome, quiet)
        is_unhurt = is_unhurt and not outcome.failures
        for failure in sorted(set(outcome.failures)):
            print(f"  {failure}", file=sys.stderr)
    _print("quiet again", await siege.run(None, seconds), quiet)
    return is_unhurt


def _print(name: str, outcome: Outcome, quiet: Outcome) -> None:
    p50_s, p99_s = outcome.latency_s(0.5), outcome.latency_s(0.99)
    grown = (outcome.rss_peak_bytes - outcome.rss_before_bytes) / _MIB
    row = (
        name,
        f"{p50_s * 1e3:.1f}",
        f"{p99_s * 1e3:.1f}",
        f"{p99_s / quiet.latency_s(0.99):.1f}",
        f"{len(outcome.failures)} of {len(outcome.failures) + len(outcome.latencies_s)}",
        str(outcome.cut_off),
        f"{outcome.rss_before_bytes / _MIB:.0f}",
        f"{grown:.1f}",
    )
    print(f"| {' | '.join(row)} |", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ATTACKS)}; all by default")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each attack (%(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - ATTACKS.keys():
        parser.error(f"no such attack: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as folder, Processes(Path(folder)) as processes:
        # The attacker and the agent take the worker's processor from it: it is late, and not stuck.
        settings = {"worker_silence_s": 60}
        plan = Plan(replicas=2, model="m", engine_arguments=_SIMULATED, settings=settings)
        cluster = Cluster(processes, plan, Path(folder))
        cluster.start()
        is_unhurt = asyncio.run(_run(Siege(cluster, processes), arguments.names or tuple(ATTACKS), arguments.seconds))
    return 0 if is_unhurt else 1


if __name__ == "__main__":
    sys.exit(main())
