"""What a pick and its bookkeeping take of CPU time, in microseconds: python -m benchmarks.overhead.decision RUNS

Prints a JSON list, one number for each run. In a process of its own, which may run on the compiled modules.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from benchmarks.dispatch_cost import Deciding, run_times_us
from benchmarks.overhead.peers.base import Missing
from benchmarks.overhead.peers.gateway import compiled_environment

__all__ = ["decisions_us"]

_POLICY, _REPLICAS, _DECISIONS = "least_connection", 8, 2_000


def decisions_us(runs: int, *, is_compiled: bool = False) -> Sequence[float]:
    """Return one number for each run; none where it was asked for compiled modules that are not there."""
    try:
        more: Mapping[str, str] = compiled_environment() if is_compiled else {}
    except Missing:
        return []
    command = [sys.executable, "-m", "benchmarks.overhead.decision", str(runs)]
    found = subprocess.run(command, env={**os.environ, **more}, check=True, capture_output=True, text=True)
    return json.loads(found.stdout)


if __name__ == "__main__":
    print(json.dumps(run_times_us(Deciding(_POLICY, _REPLICAS).dispatch, _DECISIONS, int(sys.argv[1]))))
