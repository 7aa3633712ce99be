"""Hours of what agents and replicas do wrong: python -m benchmarks.soak [--seconds N] [--write docs/benchmarks.md]

Half of the streams are cancelled, agents leave and come back, replicas are killed. Passes where in the end the memory
of worker and control is flat and no stream, lease, task or descriptor is left.
"""

import argparse
import asyncio
import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cluster import Cluster, Plan
from benchmarks.marks import Marks
from benchmarks.processes import Processes
from benchmarks.soak.agents import AGENTS, Agent, Tally
from benchmarks.soak.watch import MIB, Look, growth, leftovers, look, settled, whole

Say = Callable[[str], None]

_MARKS = Marks("soak", "make soak WRITE=docs/benchmarks.md")
_SIMULATED = ("--engine", "simulated", "--speedup", "2")
"""Slow enough for streams to be open when their replica is killed."""
_LOOKS = 30
_MEMORY: Mapping[str, Callable[[Look], int]] = {
    "worker": lambda look: look.rss_bytes,
    "control": lambda look: look.control_rss_bytes,
}
_KILL_EVERY_S = 10.0
_RESTART_S = 120.0
"""For the last replica that was killed, on a busy machine."""
_WARM_UP_S = 3.0
"""Until there is a connection to each replica."""


async def _kill(cluster: Cluster, over_at: float, rng: random.Random) -> int:
    """Kill a replica now and then; it comes back. Return how many were killed."""
    killed = 0
    while time.monotonic() + _KILL_EVERY_S < over_at:
        await asyncio.sleep(_KILL_EVERY_S)
        member = rng.choice(cluster.members)
        await asyncio.to_thread(member.process.kill)
        killed += 1
        await asyncio.sleep(1.0)
        cluster.restart(member)
        await whole(cluster, over_at)
    return killed


async def _watch(cluster: Cluster, seconds: float, looks: list[Look], say: Say) -> None:
    begun_at = time.monotonic()
    for number in range(1, _LOOKS + 1):
        await asyncio.sleep(begun_at + number * seconds / _LOOKS - time.monotonic())
        looks.append(await asyncio.to_thread(look, cluster, time.monotonic() - begun_at))
        if number % (_LOOKS // 10) == 0:
            say(_row(looks[-1]))


async def soak(cluster: Cluster, seconds: float, rate: float, say: Say) -> list[str]:
    """Return what is wrong in the end."""
    say("| s | streams | open | leases | tasks | descriptors | worker MB | control MB |\n" + "|---" * 8 + "|")
    await Agent(cluster.address, Tally(), AGENTS, time.monotonic() + _WARM_UP_S).run()
    before = await asyncio.to_thread(look, cluster, 0.0)
    say(_row(before))
    looks, tally = [before], Tally()
    over_at = time.monotonic() + seconds
    async with asyncio.TaskGroup() as tasks:
        killing = tasks.create_task(_kill(cluster, over_at, random.Random(1)))
        tasks.create_task(_watch(cluster, seconds, looks, say))
        for number in range(AGENTS):
            tasks.create_task(Agent(cluster.address, tally, number, over_at, rate).run())
    await whole(cluster, time.monotonic() + _RESTART_S)
    after = await settled(cluster, before, seconds)
    say(_row(after))
    say(
        f"\n{tally.streams} streams: {tally.whole} whole, {tally.cancelled} cancelled, {tally.lost.total()} lost with "
        f"{killing.result()} killed replicas, {tally.wrong.total()} wrong; {tally.connections} connections"
    )
    for how, count in tally.lost.items():
        say(f"\n{count} lost: {how}")
    wrong = leftovers(after, before) + [f"{count} streams: {how}" for how, count in tally.wrong.items()]
    for name, rss_bytes in _MEMORY.items():
        grown = growth(looks, rss_bytes)
        say(f"\nmemory of {name}: {grown} after the first third")
        wrong += [] if grown.is_flat else [f"memory of {name} grows"]
    return wrong


def _row(seen: Look) -> str:
    row = (
        f"{seen.at_s:.0f}",
        *map(str, (seen.streams, seen.open_streams, seen.leases, seen.tasks, seen.descriptors)),
        *(f"{rss_bytes(seen) / MIB:.1f}" for rss_bytes in _MEMORY.values()),
    )
    return f"| {' | '.join(row)} |"


def _how(seconds: float, rate: float) -> str:
    streams = f"at most {rate:g} streams" if math.isfinite(rate) else "as many streams as there can be"
    return f"{datetime.now(UTC):%Y-%m-%d}, {seconds:,.0f} s, {streams} a second, {os.cpu_count()} cores.\n"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3_600.0, help="how long (%(default)s)")
    parser.add_argument("--rate", type=float, default=math.inf, help="streams a second at the most (%(default)s)")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put what is said there between its marks")
    arguments = parser.parse_args()
    said = [_how(arguments.seconds, arguments.rate)]

    def say(line: str) -> None:
        said.append(line)
        print(line, flush=True)

    with tempfile.TemporaryDirectory() as folder, Processes(Path(folder)) as processes:
        plan = Plan(replicas=3, model="m", engine_arguments=_SIMULATED, settings={"worker_silence_s": 60})
        cluster = Cluster(processes, plan, Path(folder))
        cluster.start()
        wrong = asyncio.run(soak(cluster, arguments.seconds, arguments.rate, say))
    for what in wrong:
        print(what, file=sys.stderr)
    if arguments.write:
        _MARKS.write(arguments.write, "\n".join(said + [f"\n**Wrong:** {what}" for what in wrong]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
