"""Inference/ListModels over the whole fleet. The other methods of that service are the workers'."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import grpc
import grpc.aio

from gateway.control.fleet_owner import ModelOffer, Replica
from gateway.control.health import INFERENCE
from gateway.types import ReplicaState
from inference.v1.inference_pb2 import ListModelsRequest, ListModelsResponse, Model


def merged(replicas: Iterable[Replica]) -> list[ModelOffer]:
    """Return one offer for each model, by name: of numbers the largest, of adapters all, of ready replicas the sum."""
    models: dict[str, ModelOffer] = {}
    for replica in replicas:
        is_ready = replica.record.state is ReplicaState.READY
        for offer in replica.offers:
            known = models.get(offer.name, ModelOffer(offer.name, ready_replicas=0))
            models[offer.name] = ModelOffer(
                offer.name,
                max(known.context_tokens, offer.context_tokens),
                tuple(sorted({*known.lora_names, *offer.lora_names})),
                max(known.kv_cache_tokens, offer.kv_cache_tokens),
                known.ready_replicas + (offer.ready_replicas if is_ready else 0),
            )
    return sorted(models.values())


def models_handler(replicas: Callable[[], Sequence[Replica]]) -> grpc.GenericRpcHandler:
    """Return the service with its one method; the others answer UNIMPLEMENTED."""

    async def list_models(
        request: ListModelsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> ListModelsResponse:
        return ListModelsResponse(models=[Model(**offer._asdict()) for offer in merged(replicas())])

    handler = grpc.unary_unary_rpc_method_handler(
        list_models, ListModelsRequest.FromString, ListModelsResponse.SerializeToString
    )
    return grpc.method_handlers_generic_handler(INFERENCE, {"ListModels": handler})
