"""A replica with vLLM that is asked to leave."""

import asyncio
import signal
from pathlib import Path

import grpc
import psutil
import pytest
from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckResponse

from benchmarks.processes import Processes
from inference.v1 import inference_pb2 as pb
from inference.v1.inference_pb2_grpc import InferenceStub
from tests.vllm.setting import ENVIRONMENT, START_S, replica_command
from tests.vllm.streams import health, ids_of, request


async def test_sigterm_lets_streams_finish_and_leaves_no_process(
    channel: aio.Channel, tiny_model: Path, tmp_path: Path
) -> None:
    with Processes(tmp_path, grace_s=15.0) as processes:
        replica = processes.start("replica", replica_command(tiny_model), dict(ENVIRONMENT))
        address = replica.wait_for_line(timeout_s=START_S)[1]
        family = psutil.Process(replica.pid).children(recursive=True)
        async with aio.insecure_channel(address) as leaving:
            watch = aiter(health(leaving))
            assert (await anext(watch)).status == HealthCheckResponse.SERVING
            stream = aiter(InferenceStub(leaving).Generate(request(max_tokens=400, ignore_eos=True)))
            responses = [await anext(stream)]
            # As a terminal's Ctrl-C: to vLLM's processes too, which must not mind.
            for process in family:
                process.send_signal(signal.SIGINT)
            replica.signal(signal.SIGTERM)
            assert (await anext(watch)).status == HealthCheckResponse.NOT_SERVING
            responses += [response async for response in stream]
            assert len(ids_of(responses)) == 400
            assert responses[-1].finish_reason == pb.FINISH_REASON_LENGTH
            with pytest.raises(aio.AioRpcError) as refused:
                await InferenceStub(leaving).ListModels(pb.ListModelsRequest(), timeout=5)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await asyncio.to_thread(replica.wait, 30.0) == 0
        _, left = psutil.wait_procs(family, timeout=10.0)
        assert not left
