"""What a decision costs: a pick alone, and all that goes with it, in microseconds of one core.

    python -m benchmarks.dispatch_cost
    make bench-dispatch                     # the same, written into docs/benchmarks.md

Prints for each policy and size of fleet the lowest of the runs and, behind it, their median, interpreted and, where it
was built here, compiled; CPU time of the process.

`pick`: the policy's choice among views that are at hand. `dispatch`: candidates, pick, lease, first token, usage and
release, with as many requests in flight as there are replicas, so that two views change from one pick to the next.
Replicas report their load and have answered before. A pick is for a prompt of which all have a quarter cached and one
in ten all of it: a system prompt, and a session that has been around. What is dispatched they all have.
"""

import argparse
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from benchmarks.marks import Marks, table
from benchmarks.overhead.machine import Watch
from benchmarks.overhead.peers.base import Missing
from benchmarks.overhead.peers.gateway import compiled_environment
from gateway.dispatch.dispatch import Dispatcher, pushback
from gateway.dispatch.prefix_index.prompts import PrefixIndex
from gateway.fleet.fleet import Fleet
from gateway.fleet.leases import Lease, Ledger, LocalCounters
from gateway.policies import POLICIES, build
from gateway.types import Facts, LoadReport, ReplicaRecord, ReplicaState, Snapshot, Usage

_MARKS = Marks("dispatch", "make bench-dispatch")
MODEL = "model"
SCOPE = (MODEL, "", "")
WITH_SESSION = 10
"""One of so many replicas has read all of the prompt that picks are for."""
POLICY_NAMES = (*POLICIES, "power_of_two:least_work")
FLEETS = (8, 1_000)
COLUMNS = [f"{what} {size}" for what in ("pick", "dispatch") for size in FLEETS]
TURNS = 4
PROMPT_TOKENS = 1_024
USAGE = Usage(PROMPT_TOKENS, PROMPT_TOKENS - 16, 200)
"""All but the last block of vLLM, which is always computed: these requests are all the same."""
REPORT = LoadReport(1.0, 4.0, 0.5, 100.0, 7, 0, 0.0, utilization=0.5, requests_per_s=2.0)


Times = dict[str, dict[str, list[float]]]
"""By policy and column."""


class Deciding:
    """What decides in a worker, with a fleet that has been at work."""

    def __init__(self, policy: str, replicas: int) -> None:
        rng = random.Random(0)
        self.fleet = Fleet(counters := LocalCounters())
        ids = [f"replica-{number:04}" for number in range(replicas)]
        self.fleet.apply(Snapshot(1, tuple(map(_row, ids))))
        self.policy = build(policy, rng)
        self.dispatcher = Dispatcher(self.fleet, Ledger(self.fleet, counters), self.policy, pushback(1.0, rng))
        index = PrefixIndex(b"secret", 1_000_000, lambda replica_id, incarnation, blocks: None)
        prompt = rng.randbytes(4 * PROMPT_TOKENS)
        session = prompt[: len(prompt) // 4] + rng.randbytes(3 * PROMPT_TOKENS)
        for number, replica_id in enumerate(ids):
            index.open(replica_id, 1, 0)
            read = session if number % WITH_SESSION == 0 else prompt[: len(prompt) // 4]
            index.of_ids(SCOPE, read).read(replica_id, 1)
        self.facts = Facts(
            "/inference.v1.Inference/Generate",
            MODEL,
            session_id="s",
            prompt_tokens=PROMPT_TOKENS,
            prefix=index.of_ids(SCOPE, prompt),
        )
        self._asked = replace(self.facts, prefix=index.of_ids(SCOPE, session))
        for view in tuple(self.fleet.views(self.facts)):
            self._answer(self.dispatcher.dispatch(self.facts, 0.0, set(ids) - {view.id}))

        self._in_flight = deque(self._lease() for _ in ids)

    def pick(self, requests: int) -> None:
        views, facts, pick = self.fleet.views(self._asked), self._asked, self.policy.pick
        for _ in range(requests):
            pick(facts, views, 1.0)

    def dispatch(self, requests: int) -> None:
        for _ in range(requests):
            self._in_flight.append(self._lease())
            self._answer(self._in_flight.popleft())

    def _lease(self) -> Lease:
        lease = self.dispatcher.dispatch(self.facts, 0.0)
        assert isinstance(lease, Lease), lease
        return lease

    @staticmethod
    def _answer(lease: object) -> None:
        assert isinstance(lease, Lease), lease
        lease.first_token(0.5)
        lease.used(USAGE, 1.0)
        lease.release()


def _row(replica_id: str) -> ReplicaRecord:
    models = frozenset((MODEL,))
    return ReplicaRecord(replica_id, f"{replica_id}:8000", 1, ReplicaState.READY, models, 1.0, REPORT)


def cell(times_us: Sequence[float]) -> str:
    """Return the lowest and the median, or nothing where there are none."""
    return f"{min(times_us):.1f} ({statistics.median(times_us):.1f})" if times_us else ""


def run_times_us(ask: Callable[[int], None], requests: int, runs: int) -> list[float]:
    """Return the microseconds a request of each run."""
    times_us: list[float] = []
    for _ in range(runs):
        began_s = time.process_time()
        ask(requests)
        times_us.append((time.process_time() - began_s) / requests * 1e6)
    return times_us


def scale(requests: int) -> None:
    """Something whose price everybody knows, to tell machines and their load apart: ten additions and products."""
    total = 0
    for number in range(10 * requests):
        total += number * number % 7


def report(found: Mapping[str, Times]) -> str:
    """Return these figures, by build, for the page."""
    parts = ["The last row is ten turns of `total += number * number % 7`, before each run: how fast the machine was."]
    for build_name, times in found.items():
        rows = ([name, *(cell(each.get(column, ())) for column in COLUMNS)] for name, each in times.items())
        parts += [f"{build_name}:", table(["policy", *COLUMNS], rows)]
    return "\n\n".join(parts)


def measure(policies: Sequence[str], requests: int, runs: int) -> Times:
    """Return the microseconds of each run, by policy and column. A run measures all of them once: machines have slow
    minutes, and each cell shall see some that are not."""
    deciding = {(policy, size): Deciding(policy, size) for policy in policies for size in FLEETS}
    asks: dict[tuple[str, str], Callable[[int], None]] = {}
    for (policy, size), each in deciding.items():
        asks[f"`{policy}`", f"pick {size}"] = each.pick
        asks[f"`{policy}`", f"dispatch {size}"] = each.dispatch
    asks["ten turns", COLUMNS[0]] = scale
    # What is held here is no part of what a collection looks at in a worker.
    gc.freeze()
    times: Times = {name: {} for name, _ in asks}
    for _ in range(runs):
        for (name, column), ask in asks.items():
            times[name].setdefault(column, []).extend(run_times_us(ask, requests, 1))
    return times


def measured(policies: Sequence[str], requests: int, runs: int) -> Mapping[str, Times]:
    """Return the same of each build that is here, both in turns, each time in a process of its own."""
    environments: dict[str, Mapping[str, str]] = {"Interpreted": {}}
    try:
        environments["Compiled (`make compiled`)"] = compiled_environment()
    except Missing as missing:
        print(f"compiled: {missing}", file=sys.stderr)
    found: dict[str, Times] = {name: {} for name in environments}
    command = [sys.executable, "-m", "benchmarks.dispatch_cost", "--times", "--requests", str(requests)]
    for turn in range(TURNS):
        for build_name, more in environments.items():
            runs_now = runs // TURNS + (turn < runs % TURNS)
            asked = subprocess.run(
                [*command, "--runs", str(runs_now), *policies], env={**os.environ, **more}, check=True, stdout=-1
            )
            for name, columns in json.loads(asked.stdout).items():
                for column, times_us in columns.items():
                    found[build_name].setdefault(name, {}).setdefault(column, []).extend(times_us)
        print(f"turn {turn + 1} of {TURNS}", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--requests", type=int, default=100, help="in a run")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="write the figures into it")
    parser.add_argument("--times", action="store_true", help="print those of this process, as JSON")
    parser.add_argument("policies", nargs="*", default=POLICY_NAMES)
    arguments = parser.parse_args()
    if arguments.times:
        print(json.dumps(measure(arguments.policies, arguments.requests, arguments.runs)))
        return
    watch = Watch()
    found = measured(arguments.policies, arguments.requests, arguments.runs)
    how = watch.machine().said(watch.began_at, f"CPU us, lowest of {arguments.runs} runs (median)")
    _MARKS.tell(f"{how}\n\n{report(found)}", arguments.write)


if __name__ == "__main__":
    main()
