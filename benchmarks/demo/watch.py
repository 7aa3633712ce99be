"""What the gateway says of its replicas."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import grpc.aio
from prometheus_client.parser import text_string_to_metric_families

from inference.v1 import admin_pb2, admin_pb2_grpc

_TIMEOUT_S = 2.0
_REQUESTS = "inference_gateway_requests_total"


@dataclass(frozen=True, slots=True)
class Replica:
    """One replica as the gateway last saw it."""

    name: str
    state: str = "unknown"
    in_flight: int = 0
    queued: int = 0
    kv_used: float = 0.0
    """Between 0 and 1."""
    answered: int = 0
    broken: int = 0
    """Exchanges that ended with another status than OK."""


class Watch:
    """Knows of each replica what the administration service and the metrics tell."""

    def __init__(
        self, admin: "admin_pb2_grpc.AdminAsyncStub", http: aiohttp.ClientSession, metrics_address: str
    ) -> None:
        self._admin = admin
        self._http = http
        self._metrics_url = f"http://{metrics_address}/metrics"
        self.replicas: Mapping[str, Replica] = {}

    async def look(self) -> None:
        """Ask once. Without an answer the picture stays: a gateway that has died shows in the agents' failures."""
        try:
            listed = await self._admin.ListReplicas(admin_pb2.ListReplicasRequest(), timeout=_TIMEOUT_S)
            async with self._http.get(self._metrics_url) as response:
                exposed = await response.text()
        except (grpc.aio.AioRpcError, aiohttp.ClientError, TimeoutError):
            return
        answered, broken = requests_by_replica(exposed)
        self.replicas = {
            replica.id: Replica(
                replica.id,
                state_name(replica.state),
                replica.requests_in_flight,
                round(replica.load.queue_depth),
                replica.load.kv_cache_utilization,
                answered[replica.id],
                broken[replica.id],
            )
            for replica in listed.replicas
        }


@asynccontextmanager
async def watching(admin_address: str, metrics_address: str) -> AsyncGenerator[Watch, None]:
    """Connect to a gateway."""
    timeout = aiohttp.ClientTimeout(_TIMEOUT_S)
    async with grpc.aio.insecure_channel(admin_address) as channel, aiohttp.ClientSession(timeout=timeout) as http:
        yield Watch(admin_pb2_grpc.AdminStub(channel), http, metrics_address)


def state_name(state: admin_pb2.ReplicaState.ValueType) -> str:
    return admin_pb2.ReplicaState.Name(state).removeprefix("REPLICA_STATE_").lower()


def requests_by_replica(exposed: str) -> tuple[Counter[str], Counter[str]]:
    """Return, from the gateway's /metrics, how many exchanges each replica answered and how many broke."""
    answered, broken = Counter[str](), Counter[str]()
    for family in text_string_to_metric_families(exposed):
        for sample in family.samples:
            if sample.name == _REQUESTS:
                kind = answered if sample.labels["status"] == "OK" else broken
                kind[sample.labels["replica"]] += int(sample.value)
    return answered, broken
