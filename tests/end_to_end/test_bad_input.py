"""What arrives wrong is answered clearly, and costs nobody else anything."""

import asyncio
import random

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2

from benchmarks.cluster import Cluster
from gateway.http2 import frames
from inference.v1 import inference_pb2 as pb
from inference.v1.inference_pb2_grpc import InferenceStub
from tests.end_to_end.observe import samples, total

pytestmark = pytest.mark.e2e


async def answers(cluster: Cluster) -> bool:
    """Whether a well-behaved agent is served."""
    async with grpc.aio.insecure_channel(cluster.address) as channel:
        request = pb.GenerateRequest(text="hello", sampling=pb.SamplingParameters(max_tokens=5))
        return len([response async for response in InferenceStub(channel).Generate(request)]) > 0


async def test_wrong_requests_get_a_clear_status(cluster: Cluster) -> None:
    async with grpc.aio.insecure_channel(cluster.address) as channel:
        unknown_model = pb.GenerateRequest(text="hello", model="no-such").SerializeToString()
        too_large = pb.GenerateRequest(text="x" * (65 << 20)).SerializeToString()
        cases = [
            ("/inference.v1.Inference/Nothing", b"", grpc.StatusCode.UNIMPLEMENTED, "METHOD_NOT_FOUND"),
            ("/inference.v1.Inference/Generate", unknown_model, grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
            ("/inference.v1.Inference/Generate", too_large, grpc.StatusCode.RESOURCE_EXHAUSTED, "MESSAGE_TOO_LARGE"),
            ("/inference.v1.Inference/Generate", b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
            ("/inference.v1.Inference/Chat", b"", grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
        ]
        for path, message, code, reason in cases:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_stream(path)(message).read()
            assert caught.value.code() is code, path
            assert _reason(caught.value) == reason
    assert await answers(cluster)


async def test_garbage_ends_its_own_connection_only(cluster: Cluster) -> None:
    rng = random.Random(11)
    host, _, port = cluster.address.rpartition(":")
    for opening in (b"", frames.PREFACE, frames.PREFACE + frames.settings([])):
        for _ in range(10):
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(opening + rng.randbytes(rng.randint(40, 4_000)))
            async with asyncio.timeout(15):
                while await reader.read(65_536):
                    pass
            writer.close()
            await writer.wait_closed()
    assert await answers(cluster)
    assert total(samples(cluster), "inference_gateway_worker_restarts_total") == 0


def _reason(error: grpc.aio.AioRpcError) -> str:
    serialized = dict(error.trailing_metadata())["grpc-status-details-bin"]
    assert isinstance(serialized, bytes)
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(serialized).details[0].Unpack(info)
    return info.reason
