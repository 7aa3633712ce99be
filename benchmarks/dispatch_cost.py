"""What a decision costs: one dispatch (views, pick, lease), first token and release, in microseconds of one core.

    python -m benchmarks.dispatch_cost

Prints for each policy and size of fleet the median of the runs and the lowest, CPU time of this process. As many
requests are in flight as there are replicas, so that views change as in a busy gateway: two from one pick to the next.
"""

import argparse
import random
import statistics
import time
from collections import deque

from gateway.dispatch.dispatch import Dispatcher, pushback
from gateway.fleet.fleet import Fleet
from gateway.fleet.leases import Lease, Ledger, LocalCounters
from gateway.policies import POLICIES, build
from gateway.types import Facts, ReplicaRecord, ReplicaState, Snapshot

MODEL = "model"
FLEETS = (1, 8, 100, 1_000)


def dispatcher(policy: str, replicas: int) -> Dispatcher:
    rng = random.Random(0)
    fleet = Fleet(counters := LocalCounters())
    rows = (
        ReplicaRecord(
            f"replica-{number:04}", f"replica-{number:04}:8000", 1, ReplicaState.READY, frozenset((MODEL,)), 1.0, None
        )
        for number in range(replicas)
    )
    fleet.apply(Snapshot(1, tuple(rows)))
    return Dispatcher(fleet, Ledger(fleet, counters), build(policy, rng), pushback(1.0, rng))


def run(dispatcher: Dispatcher, facts: Facts, in_flight: int, requests: int) -> float:
    """Return microseconds a request."""
    leases: deque[Lease] = deque()
    for _ in range(in_flight):
        leases.append(granted(dispatcher, facts))
    began_s = time.process_time()
    for _ in range(requests):
        lease = granted(dispatcher, facts)
        lease.first_token(0.0)
        leases.append(lease)
        leases.popleft().release()
    took_s = time.process_time() - began_s
    for lease in leases:
        lease.release()
    return took_s / requests * 1e6


def granted(dispatcher: Dispatcher, facts: Facts) -> Lease:
    lease = dispatcher.dispatch(facts, 0.0)
    assert isinstance(lease, Lease)
    return lease


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--requests", type=int, default=2_000, help="in a run")
    arguments = parser.parse_args()
    facts = Facts("/inference.v1.Inference/Generate", MODEL, prompt_tokens=1_000)
    print(f"{'us a request':20}" + "".join(f"{replicas:>16}" for replicas in FLEETS) + "  replicas")
    for policy in POLICIES:
        figures: list[str] = []
        for replicas in FLEETS:
            deciding = dispatcher(policy, replicas)
            times_us = [run(deciding, facts, replicas, arguments.requests) for _ in range(arguments.runs)]
            figures.append(f"{statistics.median(times_us):.1f} ({min(times_us):.1f})")
        print(f"{policy:20}" + "".join(f"{figure:>16}" for figure in figures))


if __name__ == "__main__":
    main()
