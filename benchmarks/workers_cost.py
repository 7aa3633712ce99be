"""What a decision costs a worker that has others beside it, in microseconds of one core.

    python -m benchmarks.workers_cost

One worker dispatches, sees the first token and releases, with as many requests in flight as there are replicas. The
others do the same meanwhile, untimed, so that what they have counted has to be read: once in `LOOK_INTERVAL_S`, at so
many requests a second in each worker. Prints the lowest of the runs and, behind it, their median; CPU time.
"""

import argparse
import mmap
import random
import statistics
import time
from collections import deque

from gateway.dispatch.dispatch import Dispatcher, pushback
from gateway.fleet.fleet import LOOK_INTERVAL_S, Fleet
from gateway.fleet.leases import Lease, Ledger
from gateway.fleet.shared_counters import Rows, SharedCounters, size_bytes
from gateway.policies import build
from gateway.types import Facts, ReplicaRecord, ReplicaState, Snapshot

MODEL = "model"
WORKERS = (1, 2, 4, 8)
FACTS = Facts("/inference.v1.Inference/Generate", MODEL, prompt_tokens=1_000)


class Worker:
    """What decides in one of several workers."""

    def __init__(self, rows: Rows, number: int, replicas: int) -> None:
        rng = random.Random(number)
        counters = SharedCounters(rows, number, is_ordered=True)
        fleet = Fleet(counters)
        fleet.apply(Snapshot(1, tuple(map(_record, range(replicas)))))
        policy = build("least_connection", rng)
        self._dispatcher = Dispatcher(fleet, Ledger(fleet, counters), policy, pushback(1.0, rng))
        self._in_flight = deque(self._lease(0.0) for _ in range(replicas))

    def serve(self, requests: int, now_s: float) -> None:
        for _ in range(requests):
            lease = self._lease(now_s)
            lease.first_token(now_s)
            self._in_flight.append(lease)
            self._in_flight.popleft().release()

    def _lease(self, now_s: float) -> Lease:
        lease = self._dispatcher.dispatch(FACTS, now_s)
        assert isinstance(lease, Lease), lease
        return lease


def _record(slot: int) -> ReplicaRecord:
    name = f"replica-{slot:04}"
    return ReplicaRecord(name, f"{name}:8000", 1, ReplicaState.READY, frozenset((MODEL,)), 1.0, None, slot)


def measure(workers: int, replicas: int, rate: float, looks: int) -> float:
    """Return microseconds a request, over so many looks at the others."""
    rows = Rows(memoryview(mmap.mmap(-1, size_bytes(workers))), workers)
    one, *others = (Worker(rows, number, replicas) for number in range(workers))
    requests = max(1, round(rate * LOOK_INTERVAL_S))
    took_s = now_s = 0.0
    for _ in range(looks):
        now_s += LOOK_INTERVAL_S * 1.01
        for other in others:
            other.serve(requests, now_s)
        began_s = time.process_time()
        one.serve(requests, now_s)
        took_s += time.process_time() - began_s
    return took_s / looks / requests * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=8)
    parser.add_argument("--rates", type=float, nargs="+", default=[500, 1_000, 3_000], help="requests a second")
    parser.add_argument("--runs", type=int, default=7)
    arguments = parser.parse_args()
    print(f"{'us, of workers':24}" + "".join(f"{workers:>16}" for workers in WORKERS))
    for rate in arguments.rates:
        cells: list[str] = []
        for workers in WORKERS:
            times_us = [measure(workers, arguments.replicas, rate, 200) for _ in range(arguments.runs)]
            cells.append(f"{min(times_us):.1f} ({statistics.median(times_us):.1f})")
        print(f"{f'{rate:,.0f} requests/s each':24}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
