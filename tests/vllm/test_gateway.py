"""vLLM behind the gateway: what agents get is what the replica says, and what they cancel stops inside the engine."""

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest
from grpc import aio

from benchmarks.processes import Processes, inference_gateway
from inference.v1.inference_pb2_grpc import InferenceStub
from tests.vllm.streams import chat, conversation, generate, ids_of, load_reports, request, text_of

if TYPE_CHECKING:
    from inference.v1.inference_pb2_grpc import InferenceAsyncStub

_METRICS = re.compile(r"event=metrics_listening address=(\S+)")
_READY = re.compile(r"event=replica_state state=ready")


@pytest.fixture(scope="module")
def gateway(vllm_replica: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The addresses of a gateway in front of the replica: for agents, and of its metrics."""
    folder = tmp_path_factory.mktemp("gateway")
    settings = folder / "gateway.yaml"
    settings.write_text(
        json.dumps(
            {
                "listen": "127.0.0.1:0",
                "metrics_listen": "127.0.0.1:0",
                "admin_listen": str(folder / "admin.sock"),
                "replicas": [{"address": vllm_replica}],
            }
        )
    )
    with Processes(folder) as processes:
        process = processes.start("gateway", inference_gateway("serve", "--config", str(settings)))
        address = process.wait_for_line()[1]
        process.wait_for_line(_READY)
        yield address, process.wait_for_line(_METRICS)[1]


@pytest.fixture
def direct(channel: aio.Channel) -> "InferenceAsyncStub":
    return InferenceStub(channel)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20.0):
        while not await asyncio.to_thread(is_so):
            await asyncio.sleep(0.05)


def in_flight(metrics_address: str) -> float:
    with urlopen(f"http://{metrics_address}/metrics", timeout=5) as response:
        lines = response.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("inference_gateway_requests_in_flight{"))


async def test_greedy_streams_are_the_same_through_the_gateway(
    gateway: tuple[str, str], direct: "InferenceAsyncStub"
) -> None:
    async with aio.insecure_channel(gateway[0]) as channel:
        stub = InferenceStub(channel)
        relayed, alone = await generate(stub, request()), await generate(direct, request())
        assert ids_of(relayed) == ids_of(alone)
        assert text_of(relayed) == text_of(alone)
        assert [response.sequence for response in relayed] == list(range(len(relayed)))
        said = "".join(response.content for response in await chat(stub, conversation()))
        assert said == "".join(response.content for response in await chat(direct, conversation()))


async def test_a_stream_that_an_agent_cancels_is_aborted_inside_the_engine(
    gateway: tuple[str, str], channel: aio.Channel
) -> None:
    reports = load_reports(channel)
    try:
        async with aio.insecure_channel(gateway[0]) as agent:
            stream = InferenceStub(agent).Generate(request(max_tokens=900, ignore_eos=True))
            await stream.read()
            async with asyncio.timeout(20.0):
                async for report in reports:
                    if report.named_metrics["running_requests"] == 1:
                        break
                stream.cancel()
                async for report in reports:
                    if report.named_metrics["running_requests"] == 0:
                        break
        await until(lambda: in_flight(gateway[1]) == 0)
    finally:
        reports.cancel()
