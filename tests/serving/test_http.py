import asyncio
from collections.abc import Mapping
from importlib.metadata import version

import aiohttp
import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.engine import EngineLoad
from serving.gpu import GpuReading
from serving.load import Cost, LoadState
from serving.metrics import Metrics
from tests.serving.fakes import FakeEngine
from tests.serving.running import Running, open_replica, request, running
from tests.serving.wire import call

pytestmark = pytest.mark.anyio


async def get(served: Running, path: str) -> tuple[int, str]:
    url = f"http://127.0.0.1:{served.replica.metrics_port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


def samples(text: str) -> Mapping[tuple[str, str], float]:
    """By name and labels, as they stand in the text."""
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_metrics_say_what_was_done() -> None:
    engine = FakeEngine(queue=EngineLoad(3, 2, 0.5, 700), cached_tokens=4)
    async with running(engine) as served:
        [message async for message in served.stub.Generate(request())]
        status, text = await get(served, "/metrics")
        found = samples(text)
        assert status == 200
        assert found["inference_requests_total", "Generate,OK"] == 1
        assert found["inference_prompt_tokens_total", ""] == 6
        assert found["inference_cached_tokens_total", ""] == 4
        assert found["inference_completion_tokens_total", ""] == 5
        assert found["inference_time_to_first_token_seconds_count", ""] == 1
        assert found["inference_time_per_output_token_seconds_count", ""] == 1
        assert found["inference_queue_depth", ""] == 3
        assert found["inference_running_requests", ""] == 2
        assert found["inference_uncached_waiting_tokens", ""] == 700
        assert found["kv_cache_utilization", ""] == 0.5
        assert found["inference_build_info", f"simulated,fake,{version('inference-gateway')}"] == 1
        assert found["process_open_fds", ""] > 0


async def test_a_request_that_was_given_up_is_told_from_one_that_came_too_late() -> None:
    engine = FakeEngine(hold=asyncio.Event())
    async with running(engine) as served:
        late = await call(served.replica.port, "Generate", request(), {"grpc-timeout": "50m"})
        assert late.trailers["grpc-status"] == str(grpc.StatusCode.DEADLINE_EXCEEDED.value[0])
        stream = served.stub.Generate(request(), timeout=60)
        await stream.read()
        stream.cancel()
        while served.replica.load.in_flight:
            await served.replica.load.changes.wait()
        found = samples((await get(served, "/metrics"))[1])
        assert found["inference_requests_total", "Generate,DEADLINE_EXCEEDED"] == 1
        assert found["inference_requests_total", "Generate,CANCELLED"] == 1


async def test_a_machine_without_a_gpu_says_nothing_of_gpus() -> None:
    async with running() as served:
        _, text = await get(served, "/metrics")
        assert "gpu_" not in text


async def test_readiness_follows_the_life_of_the_replica() -> None:
    engine = FakeEngine()
    async with running(engine, is_open=False) as served:
        assert await get(served, "/health") == (200, "ok\n")
        assert await get(served, "/health/ready") == (503, "loading\n")
        await open_replica(served.replica, engine)
        assert await get(served, "/health/ready") == (200, "ready\n")
        await served.replica.drain()
        assert await get(served, "/health/ready") == (503, "refusing\n")
        assert await get(served, "/health") == (200, "ok\n")


async def test_http_can_be_left_out() -> None:
    async with running(metrics_listen="none") as served:
        assert served.replica.metrics_port == 0


def metrics() -> Metrics:
    return Metrics({"engine": "fake"}, lambda: LoadState(0, 0, 0.0, 0, 0))


def test_gpus_are_told_apart() -> None:
    gpus = [GpuReading("0", 0.4, 7, 80), GpuReading("3", 0.5, 8, 80, is_throttled=True, faults=2)]
    found = samples(metrics().render(gpus).decode())
    assert (found["gpu_utilization", "0"], found["gpu_utilization", "3"]) == (0.4, 0.5)
    assert (found["gpu_memory_used_bytes", "3"], found["gpu_memory_total_bytes", "3"]) == (8, 80)
    assert (found["gpu_throttled", "0"], found["gpu_throttled", "3"], found["gpu_faults", "3"]) == (0, 1, 2)


def test_one_token_has_no_time_between_tokens() -> None:
    counted = metrics()
    counted.streamed(5.0, tokens=1)
    counted.streamed(5.0, tokens=11)
    counted.spent(Cost(7, 5, 11))
    found = samples(counted.render([]).decode())
    assert found["inference_time_per_output_token_seconds_sum", ""] == 0.5
    assert (found["inference_prompt_tokens_total", ""], found["inference_cached_tokens_total", ""]) == (7, 5)
