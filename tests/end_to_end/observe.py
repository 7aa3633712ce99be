"""What a running gateway says of itself."""

import asyncio
from collections.abc import Callable, Mapping
from urllib.request import urlopen

import grpc
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.cluster import Cluster
from inference.v1 import admin_pb2
from inference.v1.admin_pb2_grpc import AdminStub

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def samples(cluster: Cluster) -> Samples:
    """Every sample of /metrics, by name and labels."""
    with urlopen(f"http://{cluster.metrics_address}/metrics", timeout=5) as response:
        text = response.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(found: Samples, name: str, **labels: str) -> float:
    """The sum over all samples of a name that have these labels."""
    return sum(value for (of, has), value in found.items() if of == name and set(labels.items()) <= has)


def loads(cluster: Cluster) -> list[admin_pb2.LoadReport]:
    """What each replica's engine last said of itself, as the gateway has it."""
    with grpc.insecure_channel(cluster.admin_address) as channel:
        listed = AdminStub(channel).ListReplicas(admin_pb2.ListReplicasRequest(), timeout=5)
    return [replica.load for replica in listed.replicas]


async def until(is_so: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait for another process to come to a state. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not await asyncio.to_thread(is_so):
            await asyncio.sleep(0.05)
