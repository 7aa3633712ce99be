"""What the prefix index costs for one request, in microseconds of one core, and a block of it, in bytes.

    python -m benchmarks.prefix_cost
    make bench-prefix                       # the same, written into docs/benchmarks.md

`hash` names the blocks of a prompt; `ask` says what every replica has cached of it, names and all; `lease` enters it
for one replica besides, as each request does. `new` prompts begin with what all replicas have and go on with what none
has, `known` ones were read before. The lowest of the runs and, behind it, their median; CPU time of this process.
"""

import argparse
import random
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.marks import Marks, table
from benchmarks.overhead.machine import Watch
from gateway.dispatch.prefix_index.prompts import PrefixIndex

_MARKS = Marks("prefix", "make bench-prefix")
_HEAD = ("prompt", "replicas", "hash", "ask new", "lease new", "lease known")
SCOPE = ("model", "", "")
SIZES_BYTES = (2 * 1024, 32 * 1024, 400 * 1024)
FLEETS = (8, 1_000)
SHARED_TOKENS = 448
KV_CACHE_TOKENS = 307_328
"""Qwen3-32B on two H100 (llm-d's benchmarks)."""


class Index:
    def __init__(self, replicas: int) -> None:
        self.rng = random.Random(1)
        self.shared = self.rng.randbytes(4 * SHARED_TOKENS)
        self.index = PrefixIndex(b"secret", 2_000_000, lambda replica_id, incarnation, blocks: None)
        for number in range(replicas):
            self.index.open(f"replica-{number}", 1, KV_CACHE_TOKENS)
            self.index.of_ids(SCOPE, self.shared).read(f"replica-{number}", 1)

    def prompts(self, size: int) -> Iterator[bytes]:
        while True:
            yield self.shared + self.rng.randbytes(size - len(self.shared))

    def hash(self, prompt: bytes) -> None:
        self.index.chain(SCOPE, prompt, is_text=False).extend(len(prompt))

    def ask(self, prompt: bytes) -> None:
        self.index.of_ids(SCOPE, prompt).cached_tokens("replica-0")

    def lease(self, prompt: bytes) -> None:
        read = self.index.of_ids(SCOPE, prompt)
        read.cached_tokens("replica-0")
        read.read("replica-0", 1)


def measure(work: Callable[[bytes], None], prompts: Sequence[bytes]) -> str:
    times_us: list[float] = []
    for prompt in prompts:
        began_s = time.process_time()
        work(prompt)
        times_us.append((time.process_time() - began_s) * 1e6)
    return f"{min(times_us):.1f} ({statistics.median(times_us):.1f})"


def bytes_a_block(replicas: int) -> str:
    """Return what a block costs as measured, and as the metric estimates it, with full caches of `replicas`."""
    tracemalloc.start()
    index = Index(replicas)
    for number in range(replicas):
        for prompt, _ in zip(index.prompts(32 * 1024), range(40), strict=False):
            index.index.of_ids(SCOPE, prompt).read(f"replica-{number}", 1)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    holders = index.index.holders
    return f"{held / len(holders):.0f} measured, {holders.estimated_bytes() / len(holders):.0f} estimated"


def row(size: int, replicas: int, runs: int) -> list[str]:
    index = Index(replicas)
    fresh = index.prompts(size)
    new = [next(fresh) for _ in range(runs)]
    cells = [measure(index.hash, new), measure(index.ask, new), measure(index.lease, new)]
    return [f"{size // 1024} KB", f"{replicas:,}", *cells, measure(index.lease, [new[-1]] * runs)]


def report(runs: int, sizes: Sequence[int] = SIZES_BYTES, fleets: Sequence[int] = FLEETS) -> str:
    """Measure all of it, and return what there is to say."""
    rows = [row(size, replicas, runs) for replicas in fleets for size in sizes]
    return f"{table(_HEAD, rows)}\n\nBytes a block: {bytes_a_block(min(fleets))}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=60)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table there between its marks")
    arguments = parser.parse_args()
    watch = Watch()
    found = report(arguments.runs)
    how = watch.machine().said(watch.began_at, f"CPU us, lowest of {arguments.runs} runs (median)")
    _MARKS.tell(f"{how}\n\n{found}", arguments.write)


if __name__ == "__main__":
    main()
