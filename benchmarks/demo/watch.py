"""What the gateway says of its replicas."""

from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

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
    messages: int = 0
    first_token_s: float = 0.0
    """Mean, as the gateway measures it."""
    inter_token_s: float = 0.0
    """Mean."""


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
        found = figures(exposed)
        self.replicas = {
            replica.id: Replica(
                replica.id,
                state_name(replica.state),
                replica.requests_in_flight,
                round(replica.load.queue_depth),
                replica.load.kv_cache_utilization,
                found.answered[replica.id],
                found.broken[replica.id],
                found.messages[replica.id],
                found.first_token_s.get(replica.id, 0.0),
                found.inter_token_s.get(replica.id, 0.0),
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


class Figures(NamedTuple):
    """What the gateway has counted, by replica."""

    answered: Counter[str]
    broken: Counter[str]
    messages: Counter[str]
    first_token_s: Mapping[str, float]
    """Mean."""
    inter_token_s: Mapping[str, float]
    """Mean."""


def figures(exposed: str) -> Figures:
    """Read them from the gateway's /metrics."""
    answered, broken = Counter[str](), Counter[str]()
    values: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(exposed):
        for sample in family.samples:
            replica = sample.labels.get("replica", "")
            if sample.name == _REQUESTS:
                kind = answered if sample.labels["status"] == "OK" else broken
                kind[replica] += int(sample.value)
            else:
                values[sample.name][replica] = sample.value
    messages = Counter({replica: int(value) for replica, value in values["inference_gateway_messages_total"].items()})
    means = (_means(values, f"inference_gateway_{name}_seconds") for name in ("time_to_first_token", "inter_token"))
    return Figures(answered, broken, messages, *means)


def _means(values: Mapping[str, Mapping[str, float]], histogram: str) -> dict[str, float]:
    sums, counts = values.get(f"{histogram}_sum", {}), values.get(f"{histogram}_count", {})
    return {replica: sums[replica] / count for replica, count in counts.items() if count}
