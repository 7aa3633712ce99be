"""What a running gateway says of itself."""

import asyncio
from collections.abc import Callable

import grpc

from benchmarks.cluster import Cluster
from benchmarks.observe import Samples, total
from benchmarks.observe import samples as samples_at
from inference.v1 import admin_pb2
from inference.v1.admin_pb2_grpc import AdminStub

__all__ = ["Samples", "loads", "samples", "total", "until"]


def samples(cluster: Cluster) -> Samples:
    """Every sample of /metrics, by name and labels."""
    return samples_at(cluster.metrics_address)


def loads(cluster: Cluster) -> list[admin_pb2.LoadReport]:
    """What each replica's engine last said of itself, as the gateway has it."""
    with grpc.insecure_channel(cluster.admin_address) as channel:
        listed = AdminStub(channel).ListReplicas(admin_pb2.ListReplicasRequest(), timeout=5)
    return [replica.load for replica in listed.replicas]


async def until(is_so: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for another process to come to a state. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not await asyncio.to_thread(is_so):
            await asyncio.sleep(0.05)
