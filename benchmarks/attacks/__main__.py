"""What one hostile peer does to the others: python -m benchmarks.attacks [NAME ...] [--write docs/limits.md]

A well-behaved agent asks at a fixed rate, in quiet and under each attack by turns. The worker has a core for itself;
the attacker, and the replica that alone has the model it asks for, have what others leave of the rest. Passes where no
request fails, and the agent's p99 under each attack is at most twice what it is in quiet: the median over all pairs.
"""

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.attacks.attacks import ATTACKS
from benchmarks.attacks.figures import Pair, report, wrong
from benchmarks.attacks.siege import ATTACKED_MODEL, MODEL, Outcome, Siege
from benchmarks.cluster import Cluster, Plan
from benchmarks.marks import Marks
from benchmarks.overhead.machine import Watch, cores, pinned
from benchmarks.processes import Processes

_MARKS = Marks("attacks", "make bench-attacks")
_SIMULATED = ("--engine", "simulated", "--speedup", "20")
_WARM_UP_S = 3.0
_SETTLE_S = 0.1
"""For the gateway to let go of what an attacker held."""


async def _measure(siege: Siege, names: Sequence[str], rounds: int, seconds: float) -> Mapping[str, Sequence[Pair]]:
    pairs: dict[str, list[Pair]] = {name: [] for name in names}
    await siege.run(None, _WARM_UP_S)
    for number in range(rounds):
        # Each follows others in other rounds, and quiet comes first every other time.
        for name in random.Random(number).sample(names, len(names)):
            order = (None, name) if number % 2 else (name, None)
            outcomes: dict[str | None, Outcome] = {}
            for each in order:
                outcomes[each] = await siege.run(each, seconds)
                await asyncio.sleep(_SETTLE_S)
            pairs[name].append(Pair(outcomes[None], outcomes[name]))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return pairs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.attacks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ATTACKS)}; all by default")
    parser.add_argument("--rounds", type=int, default=5, help="pairs of quiet and attack (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each half of a pair (%(default)s)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table there between its marks")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - ATTACKS.keys():
        parser.error(f"no such attack: {', '.join(unknown)}")
    watch, place = Watch(), cores()
    with tempfile.TemporaryDirectory() as folder, pinned(place.others), Processes(Path(folder)) as processes:
        cluster = Cluster(
            processes, Plan(2, MODEL, models={2: ATTACKED_MODEL}, engine_arguments=_SIMULATED), Path(folder)
        )
        cluster.start()
        siege = Siege(cluster, processes)
        siege.isolate({place.proxy})
        names = arguments.names or tuple(ATTACKS)
        pairs = asyncio.run(_measure(siege, names, arguments.rounds, arguments.seconds))
    _MARKS.tell(report(pairs, watch.machine(), watch.began_at), arguments.write)
    for what in (found := wrong(pairs)):
        print(what, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
