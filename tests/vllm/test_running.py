"""Who runs, who waits, and that nothing goes on when nobody wants it any more."""

import asyncio
from contextlib import aclosing
from dataclasses import replace

import pytest
from vllm.v1.engine.async_llm import AsyncLLM

from serving.engine import EngineOverloaded, Sampling
from serving.engines.vllm.engine import VllmEngine
from tests.vllm.generations import GREEDY, generation, until
from tests.vllm.setting import MAX_NUM_SEQS, MAX_QUEUED

pytestmark = pytest.mark.usefixtures("leaves_nothing_running")

LONG = Sampling(max_tokens=900, temperature=0.0, ignore_eos=True)


async def test_the_urgent_goes_first(engine: VllmEngine) -> None:
    """With all places taken, the one of two that wait whose priority is lower gets the next."""
    order: list[str] = []

    async def run(name: str, sampling: Sampling, priority: int) -> None:
        asked = replace(generation(engine, sampling, priority=priority), request_id=name)
        async with aclosing(engine.generate(asked)) as deltas:
            async for _ in deltas:
                if name not in order:
                    order.append(name)

    async with asyncio.TaskGroup() as group:
        for number in range(MAX_NUM_SEQS):
            group.create_task(run(f"running {number}", replace(GREEDY, max_tokens=100), 0))
        await until(lambda: len(order) == MAX_NUM_SEQS)
        group.create_task(run("normal", GREEDY, 0))
        await until(lambda: engine.load().queue_depth == 1)
        group.create_task(run("urgent", GREEDY, -5))
    assert order[MAX_NUM_SEQS:] == ["urgent", "normal"]


async def test_closing_a_stream_aborts_it_in_vllm(llm: AsyncLLM, engine: VllmEngine) -> None:
    deltas = engine.generate(generation(engine, replace(LONG, n=3)))
    seen: set[int] = set()
    while len(seen) < 3:
        seen.add((await anext(deltas)).index)
    await until(lambda: engine.load().running_requests == 3)
    await deltas.aclose()
    await until(lambda: engine.load().running_requests == 0)
    assert llm.get_num_queued_tokens() == 0


async def test_a_stream_cancelled_at_any_moment_leaves_nothing(engine: VllmEngine) -> None:
    async def run() -> None:
        async with aclosing(engine.generate(generation(engine, replace(LONG, n=2)))) as deltas:
            async for _ in deltas:
                pass

    for turns in range(12):
        task = asyncio.ensure_future(run())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await until(lambda: engine.load().running_requests == 0 and engine.load().uncached_waiting_tokens == 0)


async def test_what_does_not_fit_into_the_queue_is_refused_whole(engine: VllmEngine) -> None:
    deltas = engine.generate(generation(engine, replace(LONG, n=MAX_QUEUED + 1)))
    with pytest.raises(EngineOverloaded):
        await anext(deltas)
    await until(lambda: engine.load().uncached_waiting_tokens == 0)


async def test_load_says_what_runs_and_what_waits(engine: VllmEngine) -> None:
    idle = engine.load()
    assert (idle.queue_depth, idle.running_requests, idle.uncached_waiting_tokens) == (0, 0, 0)
    asked = generation(engine, replace(LONG, n=MAX_NUM_SEQS + 2))
    async with aclosing(engine.generate(asked)) as deltas:
        await anext(deltas)
        await until(lambda: engine.load().running_requests == MAX_NUM_SEQS)
        busy = engine.load()
        assert busy.queue_depth == 2
        assert busy.uncached_waiting_tokens == 2 * len(asked.prompt_token_ids)
        assert 0 < busy.kv_cache_utilization < 1
