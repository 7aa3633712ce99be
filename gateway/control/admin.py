"""inference.v1.Admin: what operators ask and change."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc
import grpc.aio

from gateway.control.activity import activity, by_replica
from gateway.control.fleet_owner import FleetOwner, Replica
from gateway.control.operations import Operations
from gateway.control.reconfiguration import Reconfiguration
from gateway.metrics import Family
from inference.v1 import admin_pb2 as pb

SERVICE = "inference.v1.Admin"

_REQUESTS = "inference_gateway_requests_in_flight"
_PREFILL_TOKENS = "inference_gateway_prefill_tokens_in_flight"


class Admin:
    """`families` returns the workers' metrics, where the leases are counted."""

    def __init__(
        self,
        owner: FleetOwner,
        families: Callable[[], Awaitable[Sequence[Family]]],
        reconfiguration: Reconfiguration,
        clock: Callable[[], float],
    ) -> None:
        self._owner = owner
        self._families = families
        self._reconfiguration = reconfiguration
        self._operations = Operations(owner, reconfiguration)
        self._clock = clock

    async def _list_replicas(
        self, request: pb.ListReplicasRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.ListReplicasResponse:
        families = await self._families()
        requests, prefill_tokens = by_replica(families, _REQUESTS), by_replica(families, _PREFILL_TOKENS)
        response = pb.ListReplicasResponse(fleet_version=self._owner.version)
        for replica in self._owner.replicas:
            shown = response.replicas.add()
            shown.MergeFrom(self._shown(replica))
            shown.requests_in_flight = round(requests.get(replica.record.id, 0))
            shown.prefill_tokens_in_flight = round(prefill_tokens.get(replica.record.id, 0))
        return response

    async def _get_activity(
        self, request: pb.GetActivityRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> pb.GetActivityResponse:
        response = activity(await self._families())
        response.at_s = self._clock()
        response.policy = self._reconfiguration.settings.policy
        response.settings_refused = self._reconfiguration.is_refused
        return response

    def _shown(self, replica: Replica) -> pb.Replica:
        record = replica.record
        shown = pb.Replica(
            id=record.id,
            address=record.address,
            incarnation=record.incarnation,
            state=pb.ReplicaState.ValueType(record.state),
            reason=replica.reason,
            models=sorted(record.models or ()),
            weight=record.weight,
            zone=record.zone,
            labels=dict(record.labels),
        )
        if load := record.load:
            shown.load.CopyFrom(
                pb.LoadReport(
                    queue_depth=load.queue_depth,
                    running_requests=load.running_requests,
                    kv_cache_utilization=load.kv_cache_utilization,
                    uncached_waiting_tokens=load.uncached_waiting_tokens,
                    age_s=self._clock() - load.received_at,
                )
            )
        return shown

    def handler(self) -> grpc.GenericRpcHandler:
        does = self._operations
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.unary_unary_rpc_method_handler(method, asked.FromString, said.SerializeToString)
            for name, method, asked, said in (
                ("ListReplicas", self._list_replicas, pb.ListReplicasRequest, pb.ListReplicasResponse),
                ("GetActivity", self._get_activity, pb.GetActivityRequest, pb.GetActivityResponse),
                ("DrainReplica", does.drain_replica, pb.DrainReplicaRequest, pb.DrainReplicaResponse),
                ("UndrainReplica", does.undrain_replica, pb.UndrainReplicaRequest, pb.UndrainReplicaResponse),
                ("SetWeight", does.set_weight, pb.SetWeightRequest, pb.SetWeightResponse),
                ("SetPolicy", does.set_policy, pb.SetPolicyRequest, pb.SetPolicyResponse),
                ("Reload", does.reload, pb.ReloadRequest, pb.ReloadResponse),
            )
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)
