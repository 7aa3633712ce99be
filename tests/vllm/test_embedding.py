"""A model that makes embeddings, in an engine of its own, which dies at the end."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from multiprocessing import active_children
from pathlib import Path

import pytest

from serving.engine import EngineDead, UnsupportedField
from serving.engines.vllm.engine import VllmEngine, create
from tests.vllm.generations import GREEDY, generation, made
from tests.vllm.setting import settings_of


@pytest.fixture(scope="module")
def others() -> set[int | None]:
    """Processes of other engines."""
    return {process.pid for process in active_children()}


@pytest.fixture(scope="module")
async def pooling(tiny_model: Path, others: set[int | None]) -> AsyncIterator[VllmEngine]:
    engine = await create(settings_of(tiny_model, runner="pooling", convert="embed"))
    await engine.embed("first", [1], None)
    yield engine
    await engine.close()


async def test_embeds(pooling: VllmEngine) -> None:
    assert pooling.model.can_embed
    one, other, same = [
        await pooling.embed("request", pooling.tokenizer.encode(text), None) for text in ("one", "other", "one")
    ]
    assert len(one) == 128
    assert sum(value * value for value in one) == pytest.approx(1.0)
    assert one == same != other


async def test_refuses_what_the_model_cannot(pooling: VllmEngine) -> None:
    with pytest.raises(UnsupportedField) as refused:
        await pooling.embed("request", [1, 2], 16)
    assert refused.value.field_name == "dimensions"
    with pytest.raises(UnsupportedField) as refused:
        await made(pooling, generation(pooling, GREEDY))
    assert refused.value.field_name == "model"


async def test_says_that_it_is_dead(pooling: VllmEngine, others: set[int | None]) -> None:
    (own,) = {process.pid for process in active_children()} - others
    assert own is not None
    os.kill(own, signal.SIGSTOP)
    waiting = asyncio.ensure_future(pooling.embed("request", [1, 2], None))
    while not pooling.load().uncached_waiting_tokens:
        await asyncio.sleep(0.01)
    os.kill(own, signal.SIGKILL)
    with pytest.raises(EngineDead):
        await asyncio.wait_for(waiting, 30.0)
    with pytest.raises(EngineDead):
        pooling.load()
    with pytest.raises(EngineDead):
        await pooling.embed("request", [1, 2], None)
