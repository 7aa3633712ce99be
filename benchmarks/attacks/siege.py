"""A gateway under attack by one peer, and a well-behaved agent beside it."""

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass

import grpc.aio

from benchmarks.cluster import Cluster
from benchmarks.observe import worker
from benchmarks.processes import Process, Processes
from inference.v1 import inference_pb2 as pb
from inference.v1.inference_pb2_grpc import InferenceStub

_EFFORT = re.compile(r"^(\{.*\})$", re.MULTILINE)
_REQUEST = pb.GenerateRequest(text="hello", model="m", sampling=pb.SamplingParameters(max_tokens=3, ignore_eos=True))
_PER_S = 50
_TIMEOUT_S = 30.0
"""A request that takes longer has failed."""


@dataclass(frozen=True)
class Outcome:
    """What one peer's attack did to another one."""

    latencies_s: list[float]
    failures: list[str]
    rss_before_bytes: int
    rss_peak_bytes: int
    cut_off: int

    def latency_s(self, share: float) -> float:
        """Return the latency that so large a share of requests stayed below."""
        ordered = sorted(self.latencies_s)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Siege:
    """`name` of an attack, or None for quiet."""

    def __init__(self, cluster: Cluster, processes: Processes) -> None:
        self._cluster = cluster
        self._processes = processes
        self._number = 0

    async def run(self, name: str | None, seconds: float) -> Outcome:
        process = worker(self._cluster.gateway.pid)
        before = peak = process.memory_info().rss
        attacker = self._attack(name, seconds) if name is not None else None
        latencies: list[float] = []
        failures: list[str] = []
        over_at = time.monotonic() + seconds
        async with grpc.aio.insecure_channel(self._cluster.address) as channel, asyncio.TaskGroup() as tasks:
            while time.monotonic() < over_at:
                tasks.create_task(_ask(channel, latencies, failures))
                peak = max(peak, process.memory_info().rss)
                await asyncio.sleep(1 / _PER_S)
        cut_off = 0
        if attacker is not None:
            effort = await asyncio.to_thread(attacker.wait_for_line, _EFFORT, 30.0)
            cut_off = json.loads(effort[1])["cut_off"]
            await asyncio.to_thread(attacker.wait, 30.0)
        return Outcome(latencies, failures, before, peak, cut_off)

    def _attack(self, name: str, seconds: float) -> Process:
        self._number += 1
        command = [sys.executable, "-m", "benchmarks.attacks.attacker", name, self._cluster.address, str(seconds)]
        return self._processes.start(f"attack-{self._number}", command)


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
