"""Generations, and all that comes of them."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from serving.engine import Ended, Engine, Generation, Sampling, TokenLogprobs

PROMPT = "the way you said it"
GREEDY = Sampling(max_tokens=48, temperature=0.0)


@dataclass
class Made:
    """What an engine made of one choice."""

    token_ids: list[int] = field(default_factory=list[int])
    logprobs: list[TokenLogprobs] = field(default_factory=list[TokenLogprobs])
    ended: Ended | None = None
    stop_token_id: int | None = None
    cached_tokens: int = 0


async def made(engine: Engine, generation: Generation) -> dict[int, Made]:
    choices: dict[int, Made] = {}
    async with aclosing(engine.generate(generation)) as deltas:
        async for delta in deltas:
            choice = choices.setdefault(delta.index, Made())
            assert choice.ended is None, "a delta after the last one"
            choice.token_ids += delta.token_ids
            choice.logprobs += delta.logprobs
            choice.ended = delta.ended
            choice.stop_token_id = delta.stop_token_id
            choice.cached_tokens = delta.cached_tokens
    return choices


def generation(engine: Engine, sampling: Sampling, prompt: str = PROMPT, **fields: Any) -> Generation:
    return Generation("request", engine.tokenizer.encode(prompt), sampling, **fields)


def text_of(engine: Engine, prompt_token_ids: Sequence[int], token_ids: Sequence[int]) -> str:
    decoder = engine.tokenizer.decoder(prompt_token_ids, skip_special_tokens=True)
    return "".join(decoder.decode(token_id) for token_id in token_ids) + decoder.flush()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for vLLM's other process to say so."""
    async with asyncio.timeout(20.0):
        while not is_so():
            await asyncio.sleep(0.01)
