"""What load reports cost a gateway's control process, and its worker: shares of one core, and microseconds a report.

    python -m benchmarks.reports_cost
    make bench-reports                      # the same, written into docs/benchmarks.md

Raw replicas (benchmarks.overhead.replica) report to a gateway as it is shipped, without any request: many seldom, few
often, and many hardly ever, which leaves what their connections cost. CPU time of the processes, so other load on the
machine shows little; what a report costs is what is left after the connections' share.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.cluster import Cluster, Plan
from benchmarks.marks import Marks, table
from benchmarks.observe import cpu_s, samples, total
from benchmarks.overhead.machine import Watch
from benchmarks.processes import Processes

_MARKS = Marks("reports", "make bench-reports")
_HEAD = ("replicas", "reports a second", "control, % of a core", "worker", "us a report: control", "worker")
START_S = 120.0
WARM_UP_S = 3.0
HARDLY_EVER_MS = 3_600_000


class Case(NamedTuple):
    replicas: int
    interval_ms: int

    @property
    def rate(self) -> float:
        return self.replicas * 1000 / self.interval_ms


CASES = (Case(100, HARDLY_EVER_MS), Case(100, 100), Case(1000, HARDLY_EVER_MS), Case(1000, 1000))


class Cost(NamedTuple):
    """Shares of one core."""

    control: float
    worker: float


@contextmanager
def raw_replicas(case: Case) -> Generator[list[str]]:
    """Yield their addresses."""
    command = [sys.executable, "-m", "benchmarks.overhead.replica", str(case.replicas), str(case.interval_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        ports: list[int] = json.loads(process.stdout.readline())
        yield [f"127.0.0.1:{port}" for port in ports]
        process.stdin.close()  # which ends it


def measure(case: Case, seconds: float) -> Cost:
    with tempfile.TemporaryDirectory() as folder, Processes(Path(folder)) as processes, raw_replicas(case) as addresses:
        settings = {"replicas": [{"address": address} for address in addresses]}
        cluster = Cluster(processes, Plan(replicas=0, model="", settings=settings), Path(folder))
        cluster.start()
        control = psutil.Process(cluster.gateway.pid)
        (worker,) = control.children()
        _wait_ready(cluster, case.replicas)
        time.sleep(WARM_UP_S)
        began_s, before = time.monotonic(), (cpu_s(control), cpu_s(worker))
        time.sleep(seconds)
        took_s, after = time.monotonic() - began_s, (cpu_s(control), cpu_s(worker))
        return Cost(*((new - old) / took_s for old, new in zip(before, after, strict=True)))


def _wait_ready(cluster: Cluster, replicas: int) -> None:
    until_s = time.monotonic() + START_S
    ready = 0.0
    while time.monotonic() < until_s:
        with suppress(OSError):  # control may be too busy with a thousand connections to answer in time
            ready = total(samples(cluster.metrics_address), "inference_gateway_replica_state", state="ready")
        if ready == replicas:
            return
        time.sleep(0.5)
    raise TimeoutError(f"{ready:.0f} of {replicas} replicas are ready after {START_S:g} s")


def report(costs: Mapping[Case, Sequence[Cost]]) -> str:
    """Return medians of the runs, and what a report costs over the same replicas that hardly ever report."""
    rows: list[list[str]] = []
    medians = {
        case: Cost(*(statistics.median(values) for values in zip(*runs, strict=True))) for case, runs in costs.items()
    }
    for case, cost in medians.items():
        cells = [str(case.replicas), f"{case.rate:.0f}", *(f"{100 * share:.1f}" for share in cost)]
        quiet = medians[Case(case.replicas, HARDLY_EVER_MS)]
        is_quiet = case.interval_ms == HARDLY_EVER_MS
        more = zip(cost, quiet, strict=True)
        cells += ["", ""] if is_quiet else [f"{1e6 * (share - least) / case.rate:.0f}" for share, least in more]
        rows.append(cells)
    return table(_HEAD, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="of each run")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table there between its marks")
    arguments = parser.parse_args()
    watch = Watch()
    costs: dict[Case, list[Cost]] = {case: [] for case in CASES}
    for number in range(arguments.runs):
        for case, runs in costs.items():
            runs.append(measure(case, arguments.seconds))
        print(f"run {number + 1} of {arguments.runs}", file=sys.stderr)
    how = watch.machine().said(watch.began_at, f"medians of {arguments.runs} runs of {arguments.seconds:g} s")
    _MARKS.tell(f"{how}\n\n{report(costs)}", arguments.write)


if __name__ == "__main__":
    main()
