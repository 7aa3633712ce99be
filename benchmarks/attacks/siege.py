"""A gateway under attack by one peer, and a well-behaved agent beside it."""

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import grpc.aio

from benchmarks.cluster import Cluster
from benchmarks.observe import cpu_s, worker
from benchmarks.processes import Process, Processes
from inference.v1 import inference_pb2 as pb
from inference.v1.inference_pb2_grpc import InferenceStub

MODEL, ATTACKED_MODEL = "m", "attacked"
"""The agent asks for the first, attackers for the other one."""
_BEGUN = re.compile(r"^attacking$", re.MULTILINE)
_EFFORT = re.compile(r"^(\{.*\})$", re.MULTILINE)
_REQUEST = pb.GenerateRequest(text="hello", model=MODEL, sampling=pb.SamplingParameters(max_tokens=3, ignore_eos=True))
_PER_S = 100
_TIMEOUT_S = 30.0
"""A request that takes longer has failed."""


@dataclass(frozen=True)
class Outcome:
    """What one peer's attack did to another one."""

    latencies_s: list[float]
    failures: list[str]
    rss_before_bytes: int
    rss_peak_bytes: int
    worker_cpu: float
    """The share of a core that the worker took."""
    cut_off: int = 0

    def latency_s(self, share: float) -> float:
        """Return the latency that so large a share of requests stayed below."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Siege:
    """`name` of an attack, or None for quiet."""

    def __init__(self, cluster: Cluster, processes: Processes) -> None:
        self._cluster = cluster
        self._processes = processes
        self._options: list[str] = []
        self._number = 0

    def isolate(self, cpus: AbstractSet[int]) -> None:
        """Leave these cores to the worker. Attackers, and the replica that they ask, take only what others leave of the
        rest: what they want of it is no attack on the gateway."""
        self._options = ["--yields"]
        replica = self._cluster.members[1].process.pid
        _on_threads(replica, lambda thread: os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0)))
        _on_threads(worker(self._cluster.gateway.pid).pid, lambda thread: os.sched_setaffinity(thread, cpus))

    async def run(self, name: str | None, seconds: float) -> Outcome:
        if name is None:
            return await self._ask_for(seconds)
        attacker = self._attack(name, seconds)
        await asyncio.to_thread(attacker.wait_for_line, _BEGUN, _TIMEOUT_S)
        outcome = await self._ask_for(seconds)
        effort = await asyncio.to_thread(attacker.wait_for_line, _EFFORT, _TIMEOUT_S)
        await asyncio.to_thread(attacker.wait, _TIMEOUT_S)
        return Outcome(**{**vars(outcome), "cut_off": json.loads(effort[1])["cut_off"]})

    async def _ask_for(self, seconds: float) -> Outcome:
        process = worker(self._cluster.gateway.pid)
        before = peak = process.memory_info().rss
        cpu_before_s, begun_at = cpu_s(process), time.monotonic()
        latencies: list[float] = []
        failures: list[str] = []
        async with grpc.aio.insecure_channel(self._cluster.address) as channel, asyncio.TaskGroup() as tasks:
            while time.monotonic() < begun_at + seconds:
                tasks.create_task(_ask(channel, latencies, failures))
                peak = max(peak, process.memory_info().rss)
                await asyncio.sleep(1 / _PER_S)
        worker_cpu = (cpu_s(process) - cpu_before_s) / (time.monotonic() - begun_at)
        return Outcome(latencies, failures, before, peak, worker_cpu)

    def _attack(self, name: str, seconds: float) -> Process:
        self._number += 1
        command = [sys.executable, "-m", "benchmarks.attacks.attacker", name, self._cluster.address, str(seconds)]
        return self._processes.start(f"attack-{self._number}", [*command, *self._options])


def _on_threads(pid: int, act: Callable[[int], None]) -> None:
    for thread in Path(f"/proc/{pid}/task").iterdir():
        act(int(thread.name))


async def _ask(channel: grpc.aio.Channel, latencies: list[float], failures: list[str]) -> None:
    begun_at = time.monotonic()
    try:
        responses = [each async for each in InferenceStub(channel).Generate(_REQUEST, timeout=_TIMEOUT_S)]
    except grpc.aio.AioRpcError as error:
        failures.append(f"{error.code().name}: {error.details()}")
        return
    if sum(len(response.token_ids) for response in responses) != _REQUEST.sampling.max_tokens:
        failures.append("incomplete")
    latencies.append(time.monotonic() - begun_at)
