"""One run: agents stream, replicas come and go, policies take turns; then the verdict."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio
from rich.console import Console

from benchmarks.churn.script import KEEP, Act, acts, swap_every_s
from benchmarks.churn.stage import LOOK_INTERVAL_S, Stage
from benchmarks.churn.timeline import Attempt, Change, Timeline, read
from benchmarks.churn.verdict import Failure, Verdict, judge
from benchmarks.cluster import Cluster, Plan
from benchmarks.demo.watch import Watch, watching
from benchmarks.observe import Samples, samples, total
from benchmarks.processes import NotReady, Processes
from benchmarks.soak.agents import AGENTS, Agent, Stream, Tally, said
from gateway.policies import POLICIES
from inference.v1 import admin_pb2, admin_pb2_grpc

_REPLICAS = 5
_SIMULATED = ("--engine", "simulated", "--speedup", "2")
_START_TIMEOUT_S = 300.0
_SETTLE_S = 30.0
_LINES = 12
"""Of what goes on, in a short run."""
_LINE_EVERY_S = 30.0
_TIMEOUT_S = 10.0


def plan(file: Path) -> Plan:
    """`file` names the replicas."""
    settings = {
        "replicas": [],
        "discovery": [{"kind": "file", "path": str(file), "interval_s": LOOK_INTERVAL_S}],
        "workers": 2,
        # A worker that gets no time on a busy machine is not stuck.
        "worker_silence_s": 60,
        "worker_start_timeout_s": 60,
        "log_level": "debug",
        # Short, so that a short run sees their ends.
        "health": {"ejection_s": 3, "ejection_max_s": 10, "slow_start_s": 2},
    }
    return Plan(_REPLICAS, "m", engine_arguments=_SIMULATED, settings=settings, ready_timeout_s=_START_TIMEOUT_S)


@dataclass
class ChurnTally(Tally):
    """Keeps those that failed before their first token apart."""

    failures: list[Failure] = field(default_factory=list[Failure])

    def failed(self, error: grpc.aio.AioRpcError, stream: Stream) -> None:
        if stream.responses:
            super().failed(error, stream)
        else:
            self.failures.append(Failure(stream.begun_at, time.time(), said(error)))


@dataclass(frozen=True)
class Result:
    tally: Tally
    verdict: Verdict
    done: Counter[str]
    """What was done to replicas, by name of the kind."""
    turns: Sequence[str]
    """The policies that were in use, in their order."""
    logged: Counter[str]
    """States that replicas came to, as logged."""


class Run:
    """One run, once everything is up."""

    def __init__(self, cluster: Cluster, stage: Stage, watch: Watch, console: Console, seconds: float) -> None:
        self._cluster = cluster
        self._stage = stage
        self._watch = watch
        self._console = console
        self._seconds = seconds
        self._tally = ChurnTally()
        self._turns: list[str] = []
        self._done: Counter[str] = Counter()
        self._last = ""
        self._wrong: list[str] = []

    async def run(self, admin: "admin_pb2_grpc.AdminAsyncStub", seed: int, rate: float) -> Result:
        """Raises NotReady."""
        await self._until_all_are_ready()
        over_at = time.monotonic() + self._seconds
        script = acts(self._seconds, len(self._cluster.members), random.Random(seed))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._perform(script))
            tasks.create_task(self._take_turns(admin, over_at))
            tasks.create_task(self._show(over_at))
            for number in range(AGENTS):
                tasks.create_task(Agent(self._cluster.address, self._tally, seed + number, over_at, rate).run())
        await self._settle()
        return await asyncio.to_thread(self._judge)

    async def _until_all_are_ready(self) -> None:
        give_up_at = time.monotonic() + self._seconds + _SETTLE_S
        while sum(each.state == "ready" for each in self._watch.replicas.values()) < len(self._cluster.members):
            if time.monotonic() > give_up_at:
                raise NotReady(f"not all replicas are ready; the gateway's last words:\n{self._last_words()}")
            await asyncio.sleep(0.1)
            await self._watch.look()

    async def _perform(self, script: Sequence[Act]) -> None:
        """Leave out what would take more replicas away than the script means to: a busy machine starts them slowly."""
        begun_at, left_out = time.monotonic(), set[int]()
        for act in script:
            await asyncio.sleep(begun_at + act.at_s - time.monotonic())
            if act.is_end and act.replica in left_out:
                left_out.remove(act.replica)
            elif act.is_end or await self._can_spare(act.replica):
                self._last = await self._stage.do(act)
                self._done[act.kind.value] += not act.is_end
            else:
                left_out.add(act.replica)
                self._done["left out"] += 1

    async def _can_spare(self, replica: int) -> bool:
        await self._watch.look()
        name = self._cluster.members[replica].name
        others = [other for other in self._watch.replicas.values() if other.name != name]
        return sum(other.state == "ready" for other in others) >= KEEP

    async def _take_turns(self, admin: "admin_pb2_grpc.AdminAsyncStub", over_at: float) -> None:
        every_s, begun_at = swap_every_s(self._seconds, list(POLICIES)), time.monotonic()
        for turn, policy in enumerate(itertools.cycle(POLICIES)):
            next_at = begun_at + turn * every_s
            if next_at + every_s / 2 > over_at:
                break
            await asyncio.sleep(next_at - time.monotonic())
            await admin.SetPolicy(admin_pb2.SetPolicyRequest(policy=policy), timeout=_TIMEOUT_S)
            self._turns.append(policy)

    async def _show(self, over_at: float) -> None:
        begun_at = time.monotonic()
        every_s = min(_LINE_EVERY_S, self._seconds / _LINES)
        while time.monotonic() + every_s < over_at:
            await asyncio.sleep(every_s)
            await self._watch.look()
            found = await asyncio.to_thread(samples, self._cluster.metrics_address)
            self._check(found)
            self._console.print(self._line(time.monotonic() - begun_at), soft_wrap=True)

    def _line(self, at_s: float) -> str:
        tally = self._tally
        states = Counter(replica.state for replica in self._watch.replicas.values())
        fleet = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
        return (
            f"{at_s:6.0f} s  {self._turns[-1]:<22} {fleet}; {tally.whole} whole, {tally.cancelled} cancelled, "
            f"{tally.lost.total()} lost after their first token, {len(tally.failures)} before; {self._last}"
        )

    def _check(self, found: Samples) -> None:
        if audit := total(found, "inference_gateway_lease_audit"):
            self._wrong.append(f"lease audit {audit:g}")
        if restarts := total(found, "inference_gateway_worker_restarts_total"):
            self._wrong.append(f"{restarts:g} workers have died")

    async def _settle(self) -> None:
        """Wait until nothing is in flight, and look for the last time."""
        give_up_at = time.monotonic() + _SETTLE_S
        while True:
            found = await asyncio.to_thread(samples, self._cluster.metrics_address)
            names = ("streams_open", "requests_in_flight", "prefill_tokens_in_flight", "request_bytes_held")
            left = {name: total(found, f"inference_gateway_{name}") for name in names}
            if not any(left.values()) or time.monotonic() > give_up_at:
                break
            await asyncio.sleep(0.5)
        self._check(found)
        self._wrong += [f"{name} is {value:g} in the end" for name, value in left.items() if value]
        await self._until_all_are_ready()

    def _judge(self) -> Result:
        lines = self._cluster.gateway.log.read_text(encoding="utf-8", errors="replace").splitlines()
        told = list(read(lines))
        timeline = Timeline(one for one in told if isinstance(one, Change))
        attempts = (one for one in told if isinstance(one, Attempt))
        verdict = judge(attempts, self._tally.failures, timeline, self._stage.outs)
        missing = [policy for policy in POLICIES if policy not in self._turns]
        sent, whole = verdict.attempts.total(), self._tally.whole
        verdict.wrong += [
            *self._wrong,
            *(f"{count} streams: {how}" for how, count in self._tally.wrong.items()),
            *(f"{policy} had no turn" for policy in missing),
            *([f"the log names {sent} attempts for {whole} whole streams"] if sent < whole else []),
            *(f"logged: {line}" for line in lines if "level=error" in line or "level=critical" in line),
        ]
        states = Counter(one.state for one in told if isinstance(one, Change))
        return Result(self._tally, verdict, self._done, self._turns, states)

    def _last_words(self) -> str:
        return self._cluster.gateway.last_lines()


async def churn(folder: Path, console: Console, seconds: float, seed: int, rate: float) -> Result:
    """Start everything, run, end everything. Raises NotReady."""
    file = folder / "replicas.json"
    with Processes(folder) as processes:
        cluster = Cluster(processes, plan(file), folder)
        console.print(f"starting {_REPLICAS} replicas and a gateway of 2 workers; the script is that of seed {seed}")
        await asyncio.to_thread(cluster.start)
        async with (
            watching(cluster.admin_address, cluster.metrics_address) as watch,
            grpc.aio.insecure_channel(cluster.admin_address) as channel,
        ):
            admin = admin_pb2_grpc.AdminStub(channel)
            stage = Stage(cluster, file, admin, time.time)
            stage.name_all()
            return await Run(cluster, stage, watch, console, seconds).run(admin, seed, rate)
