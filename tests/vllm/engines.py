"""Fixtures that need vLLM in this process."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from vllm.inputs import tokens_input
from vllm.sampling_params import SamplingParams
from vllm.v1.engine.async_llm import AsyncLLM

from serving.engines.vllm.engine import VllmEngine
from serving.engines.vllm.launch import launch
from serving.engines.vllm.load import SchedulerLoads
from serving.engines.vllm.settings import VllmSettings, engine_arguments, lora_folders
from tests.vllm.adapter import make_adapter
from tests.vllm.generations import until
from tests.vllm.setting import settings_of


@pytest.fixture(scope="session")
def loads() -> SchedulerLoads:
    return SchedulerLoads()


@pytest.fixture(scope="session")
def engine_settings(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> VllmSettings:
    """Of `engine`: the tiny model with an adapter called `calm`."""
    adapter = tmp_path_factory.mktemp("calm")
    make_adapter(adapter)
    return msgspec.structs.replace(settings_of(tiny_model), loras=(f"calm={adapter}",))


@pytest.fixture(scope="session")
async def llm(anyio_backend: str, engine_settings: VllmSettings, loads: SchedulerLoads) -> AsyncIterator[AsyncLLM]:
    """vLLM itself, to compare with."""
    started = await launch(engine_arguments(engine_settings), loads)
    # Its tasks and sockets come with the first request.
    async for _ in started.generate(tokens_input([1]), SamplingParams(max_tokens=1), "first"):
        pass
    yield started
    started.shutdown(timeout=10.0)


@pytest.fixture(scope="session")
async def engine(anyio_backend: str, engine_settings: VllmSettings, llm: AsyncLLM, loads: SchedulerLoads) -> VllmEngine:
    """The engine around `llm`."""
    tasks = frozenset[str](await llm.get_supported_tasks())
    return VllmEngine(llm, loads, engine_settings, tasks, lora_folders(engine_settings))


@pytest.fixture
async def leaves_nothing_running(engine: VllmEngine) -> AsyncIterator[None]:
    yield
    await until(lambda: engine.load().running_requests == 0 and engine.load().queue_depth == 0)
