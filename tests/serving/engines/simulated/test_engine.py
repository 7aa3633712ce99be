import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from math import hypot

import pytest

from serving.engine import (
    ContinuationImpossible,
    Ended,
    Engine,
    EngineDead,
    EngineLoad,
    EngineOverloaded,
    Generation,
    Sampling,
    TokenDelta,
    UnsupportedField,
)
from serving.engines.simulated.engine import SimulatedEngine, create
from serving.engines.simulated.settings import SimulatedSettings
from serving.engines.simulated.tokens import Special, encode

PROMPT = tuple(encode("Why is the sky blue, and neither red nor green"))
TWENTY = Sampling(max_tokens=20, ignore_eos=True)
WANTED = Generation("request", PROMPT, TWENTY)
IDLE = EngineLoad(queue_depth=0, running_requests=0, kv_cache_utilization=0.0, uncached_waiting_tokens=0)

# Of llama-3.1-8b-h100.
INGEST_S, STEP_S, CONTEXT_TOKEN_S, PREFILL_TOKEN_S = 0.015, 6.54e-3, 48.9e-9, 20.2e-6


@asynccontextmanager
async def running(settings: SimulatedSettings | None = None) -> AsyncGenerator[SimulatedEngine]:
    engine = await create(settings or SimulatedSettings())
    try:
        yield engine
    finally:
        await engine.close()


async def deltas(engine: Engine, generation: Generation) -> list[TokenDelta]:
    async with aclosing(engine.generate(generation)) as stream:
        return [delta async for delta in stream]


def ids(received: Sequence[TokenDelta], index: int = 0) -> list[int]:
    return [token_id for delta in received if delta.index == index for token_id in delta.token_ids]


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_tokens_come_one_by_one_when_the_gpu_would_have_made_them() -> None:
    async with running() as engine:
        began_at = now()
        times = [now() - began_at async for _ in engine.generate(WANTED)]
    expected = INGEST_S + STEP_S + PREFILL_TOKEN_S * len(PROMPT)
    for number, time in enumerate(times):
        assert time == pytest.approx(expected, abs=1e-6)
        expected += STEP_S + CONTEXT_TOKEN_S * (len(PROMPT) + number + 1)
    assert len(times) == 20


async def test_a_speedup_is_a_speedup() -> None:
    async with running(SimulatedSettings(speedup=100)) as engine:
        began_at = now()
        await deltas(engine, WANTED)
    seconds = INGEST_S + PREFILL_TOKEN_S * len(PROMPT) + 20 * STEP_S
    assert now() - began_at == pytest.approx(seconds / 100, rel=0.01)


async def test_the_same_prompt_has_the_same_answer_in_every_engine() -> None:
    async with running() as one, running(SimulatedSettings(profile="llama-3.1-8b-a100")) as other:
        assert ids(await deltas(one, WANTED)) == ids(await deltas(other, WANTED))


async def test_the_last_delta_says_why_it_is_the_last() -> None:
    async with running() as engine:
        limited = await deltas(engine, WANTED)
        natural = await deltas(engine, replace(WANTED, sampling=Sampling(max_tokens=5000)))
        word = ids(limited)[7]
        stopped = await deltas(engine, replace(WANTED, sampling=replace(TWENTY, stop_token_ids=(word,))))
    assert [(limited[-1].ended, limited[-1].stop_token_id)] == [(Ended.LENGTH, None)]
    assert {delta.ended for delta in limited[:-1]} == {None}
    assert (natural[-1].ended, ids(natural)[-1]) == (Ended.STOP, Special.END)
    assert engine.model.eos_token_ids == {Special.END}
    assert (stopped[-1].ended, stopped[-1].stop_token_id) == (Ended.STOP, word)
    assert ids(stopped) == ids(limited)[: ids(limited).index(word) + 1]


async def test_choices_differ_and_each_is_complete() -> None:
    async with running() as engine:
        received = await deltas(engine, replace(WANTED, sampling=replace(TWENTY, n=3)))
        alone = await deltas(engine, WANTED)
    answers = [ids(received, index) for index in range(3)]
    assert [len(answer) for answer in answers] == [20, 20, 20]
    assert answers[0] == ids(alone)
    assert len({tuple(answer) for answer in answers}) == 3
    assert sorted(delta.index for delta in received if delta.ended) == [0, 1, 2]


async def test_what_was_not_read_is_read_at_once() -> None:
    async with running() as engine, aclosing(engine.generate(WANTED)) as stream:
        first = await anext(stream)
        await asyncio.sleep(10)
        rest = await anext(stream)
        assert (len(first.token_ids), len(rest.token_ids), rest.ended) == (1, 19, Ended.LENGTH)
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


@pytest.mark.parametrize("sent_tokens", [1, 4, 19])
async def test_a_stream_goes_on_where_another_engine_left_it(sent_tokens: int) -> None:
    async with running() as first, running() as second:
        whole = ids(await deltas(first, WANTED))
        rest = replace(WANTED, sent={0: whole[:sent_tokens]})
        assert second.continues_exactly(rest)
        assert ids(await deltas(second, rest)) == whole[sent_tokens:]


async def test_choices_that_have_ended_are_not_computed_again() -> None:
    three = replace(WANTED, sampling=replace(TWENTY, n=3))
    async with running() as engine:
        whole = await deltas(engine, three)
        rest = replace(three, sent={0: ids(whole, 0), 1: ids(whole, 1)[:5]}, finished=frozenset((0,)))
        received = await deltas(engine, rest)
    assert ids(received, 0) == []
    assert ids(received, 1) == ids(whole, 1)[5:]
    assert ids(received, 2) == ids(whole, 2)


async def test_what_was_sent_is_computed_as_context() -> None:
    longer = replace(WANTED, sampling=replace(TWENTY, max_tokens=2001), sent={0: list(range(2000))})
    async with running() as engine:
        began_at = now()
        await deltas(engine, longer)
    expected = INGEST_S + STEP_S + PREFILL_TOKEN_S * (len(PROMPT) + 2000)
    assert now() - began_at == pytest.approx(expected, abs=1e-6)


async def test_a_stream_of_another_model_is_not_continued_exactly() -> None:
    async with running() as engine:
        assert not engine.continues_exactly(replace(WANTED, sent={0: [1, 2, 3]}))
        natural = replace(WANTED, sampling=Sampling(max_tokens=5000), sent={0: list(range(4000))})
        with pytest.raises(ContinuationImpossible):
            await deltas(engine, natural)
        assert engine.load() == IDLE


async def test_the_beginning_of_a_prompt_is_found_in_the_cache() -> None:
    prompt = tuple(encode("A long beginning that many prompts have in common " * 10))
    twice = replace(WANTED, prompt_token_ids=prompt, sampling=replace(TWENTY, n=2))
    others = [replace(twice, cache_salt="mine"), replace(twice, lora_name="adapter")]
    async with running(SimulatedSettings(lora_names=("adapter",))) as engine:
        first, again, *rest = [await deltas(engine, generation) for generation in (twice, twice, *others)]
    assert {delta.cached_tokens for delta in first} == {0}
    assert {delta.cached_tokens for delta in again} == {(len(prompt) - 1) // 16 * 16}
    assert [{delta.cached_tokens for delta in received} for received in rest] == [{0}, {0}]


async def test_the_answer_of_a_continued_stream_is_found_in_the_next_prompt() -> None:
    async with running() as engine:
        longer = replace(WANTED, sampling=replace(TWENTY, max_tokens=100))
        whole = ids(await deltas(engine, replace(longer, cache_salt="elsewhere")))
        await deltas(engine, replace(longer, sent={0: whole[:30]}))
        conversation = (*PROMPT, *whole)
        received = await deltas(engine, replace(WANTED, prompt_token_ids=(*conversation, 1, 2, 3)))
    assert received[0].cached_tokens == (len(conversation) - 1) // 16 * 16


async def test_cached_tokens_of_a_continued_stream_are_of_the_prompt_only() -> None:
    async with running() as engine:
        whole = ids(await deltas(engine, replace(WANTED, sampling=replace(TWENTY, max_tokens=200))))
        rest = replace(WANTED, sampling=replace(TWENTY, max_tokens=200), sent={0: whole[:190]})
        assert {delta.cached_tokens for delta in await deltas(engine, rest)} == {len(PROMPT)}


async def test_logprobs_come_with_their_ids() -> None:
    async with running() as engine:
        received = await deltas(engine, replace(WANTED, sampling=replace(TWENTY, logprobs=3)))
        without = await deltas(engine, WANTED)
    assert all(len(delta.logprobs) == len(delta.token_ids) for delta in received)
    for delta in received:
        for token_id, logprobs in zip(delta.token_ids, delta.logprobs, strict=True):
            assert logprobs.alternatives[0] == (token_id, logprobs.logprob)
            assert len(logprobs.alternatives) == 3
    assert not any(delta.logprobs for delta in without)


async def test_who_leaves_is_aborted_in_the_engine() -> None:
    async with running(SimulatedSettings(max_num_seqs=1)) as engine:
        async with aclosing(engine.generate(WANTED)) as stream:
            await anext(stream)
            waiting = asyncio.ensure_future(deltas(engine, WANTED))
            await asyncio.sleep(INGEST_S + 2 * STEP_S)
            load = engine.load()
            assert (load.running_requests, load.queue_depth) == (1, 1)
            assert load.kv_cache_utilization > 0
            assert load.uncached_waiting_tokens == len(PROMPT)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert engine.load().queue_depth == 0
        assert engine.load() == IDLE


async def test_a_thousand_streams_left_at_any_moment_leave_nothing_behind() -> None:
    dice = random.Random(7)
    complete: list[bool] = []

    async def use(engine: Engine, number: int) -> None:
        wanted = replace(WANTED, prompt_token_ids=(*PROMPT, number))
        async with asyncio.timeout(dice.uniform(0, 0.4)):
            complete.append(len(ids(await deltas(engine, wanted))) == 20)

    async with running(SimulatedSettings(max_num_seqs=64, kv_cache_tokens=2000)) as engine:
        results = await asyncio.gather(*(use(engine, number) for number in range(1000)), return_exceptions=True)
        assert engine.load() == IDLE
    assert {type(result) for result in results} == {type(None), TimeoutError}
    assert all(complete)


async def test_many_streams_arrive_whole() -> None:
    async with running(SimulatedSettings(max_num_seqs=16, kv_cache_tokens=1600)) as engine:
        wanted = [
            replace(WANTED, prompt_token_ids=(*PROMPT, number), sampling=replace(TWENTY, max_tokens=80))
            for number in range(50)
        ]
        received = await asyncio.gather(*(deltas(engine, generation) for generation in wanted))
        assert engine.load() == IDLE
    async with running() as unhurried:
        for generation, got in zip(wanted, received, strict=True):
            assert ids(got) == ids(await deltas(unhurried, generation))


async def test_more_than_may_wait_is_overload() -> None:
    async with running(SimulatedSettings(max_queued_requests=2)) as engine:
        with pytest.raises(EngineOverloaded):
            await deltas(engine, replace(WANTED, sampling=replace(TWENTY, n=3)))
        assert engine.load() == IDLE


async def test_an_output_longer_than_the_context_is_refused() -> None:
    async with running() as engine:
        long = replace(WANTED, sampling=replace(TWENTY, max_tokens=engine.model.context_tokens))
        with pytest.raises(UnsupportedField, match="context") as refusal:
            await deltas(engine, long)
    assert refusal.value.field_name == "sampling.max_tokens"


async def test_who_waits_hears_of_the_engines_end() -> None:
    async with running() as engine:
        waiting = asyncio.ensure_future(deltas(engine, WANTED))
        await asyncio.sleep(0.05)
        await engine.close()
        with pytest.raises(EngineDead):
            await waiting
        for call in (deltas(engine, WANTED), engine.embed("request", PROMPT, None)):
            with pytest.raises(EngineDead):
                await call
        with pytest.raises(EngineDead):
            engine.load()


async def test_an_embedding_takes_the_time_of_its_prefill() -> None:
    async with running() as engine:
        began_at = now()
        vector = await engine.embed("request", PROMPT, None)
        assert now() - began_at == pytest.approx(INGEST_S + STEP_S + PREFILL_TOKEN_S * len(PROMPT), abs=1e-6)
        shorter = await engine.embed("request", PROMPT, 16)
        assert engine.load() == IDLE
        with pytest.raises(UnsupportedField, match="at most 256"):
            await engine.embed("request", PROMPT, 257)
    assert (len(vector), len(shorter)) == (256, 16)
    assert hypot(*vector) == pytest.approx(1.0)
