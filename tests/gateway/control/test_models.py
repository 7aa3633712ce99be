from pathlib import Path

import grpc
import grpc.aio
import pytest

from gateway.config import ReplicaSettings
from gateway.control.fleet_owner import FleetOwner, ModelOffer
from gateway.control.models import merged, models_handler
from gateway.control.services import running_server
from inference.v1 import inference_pb2 as pb
from inference.v1 import inference_pb2_grpc


@pytest.fixture
def owner() -> FleetOwner:
    """Two ready replicas, and one that drains."""
    owner = FleetOwner(lambda _: None, lambda: 0.0)
    owner.assign([ReplicaSettings(address=f"{name}:1") for name in "abc"])
    offers = {
        "a:1": [ModelOffer("small", 4096, ("french",), 1000), ModelOffer("large", 8192)],
        "b:1": [ModelOffer("small", 8192, ("english",), 500, ready_replicas=3)],
        "c:1": [ModelOffer("old", 2048)],
    }
    for replica_id, offered in offers.items():
        owner.connected(replica_id)
        owner.identified(replica_id, 0)
        owner.serving(replica_id, offered)
    owner.not_serving("c:1", "draining")
    return owner


def test_each_model_is_listed_once_with_the_ready_replicas_that_serve_it(owner: FleetOwner) -> None:
    assert merged(owner.replicas) == [
        ModelOffer("large", 8192, (), 0, ready_replicas=1),
        ModelOffer("old", 2048, (), 0, ready_replicas=0),
        ModelOffer("small", 8192, ("english", "french"), 1000, ready_replicas=4),
    ]


async def test_agents_list_the_models_and_call_nothing_else_here(owner: FleetOwner, tmp_path: Path) -> None:
    target = f"unix:{tmp_path}/control.sock"
    handlers = [models_handler(lambda: owner.replicas)]
    async with running_server(target, handlers), grpc.aio.insecure_channel(target) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        response = await stub.ListModels(pb.ListModelsRequest())
        assert [model.name for model in response.models] == ["large", "old", "small"]
        assert response.models[2] == pb.Model(
            name="small", context_tokens=8192, lora_names=["english", "french"], kv_cache_tokens=1000, ready_replicas=4
        )
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.Tokenize(pb.TokenizeRequest())
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
