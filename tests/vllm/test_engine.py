"""What the engine makes is what vLLM makes."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from vllm.inputs import tokens_input
from vllm.outputs import CompletionOutput
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.v1.engine.async_llm import AsyncLLM

from serving.engine import Ended, Generation, Sampling, UnsupportedField
from serving.engines.vllm.engine import VllmEngine
from tests.vllm.generations import GREEDY, PROMPT, generation, made, text_of
from tests.vllm.setting import BLOCK_TOKENS

pytestmark = pytest.mark.usefixtures("leaves_nothing_running")

RANDOM = Sampling(max_tokens=64, temperature=1.0, seed=3)


async def direct(llm: AsyncLLM, engine: VllmEngine, prompt: str = PROMPT, **params: Any) -> list[CompletionOutput]:
    """What vLLM says when it is asked without us."""
    asked: dict[str, Any] = {"max_tokens": 48, "temperature": 0.0, **params}
    sampling = SamplingParams(**asked, output_kind=RequestOutputKind.FINAL_ONLY)
    (output,) = [each async for each in llm.generate(tokens_input(engine.tokenizer.encode(prompt)), sampling, "direct")]
    return output.outputs


async def test_greedy_output_equals_a_direct_call(llm: AsyncLLM, engine: VllmEngine) -> None:
    (expected,) = await direct(llm, engine)
    asked = generation(engine, GREEDY)
    choice = (await made(engine, asked))[0]
    assert choice.token_ids == list(expected.token_ids)
    assert text_of(engine, asked.prompt_token_ids, choice.token_ids) == expected.text
    assert choice.ended is Ended.LENGTH


@pytest.mark.parametrize("skip_special_tokens", [True, False])
async def test_text_is_vllms_own(llm: AsyncLLM, engine: VllmEngine, skip_special_tokens: bool) -> None:
    """The tiny model writes bytes, and so many characters that are not complete."""
    prompt = engine.tokenizer.encode(PROMPT)
    end = next(iter(engine.model.eos_token_ids))
    for seed in range(12):
        (expected,) = await direct(
            *(llm, engine),
            temperature=1.0,
            seed=seed,
            ignore_eos=True,
            logit_bias={end: 8.0},
            skip_special_tokens=skip_special_tokens,
        )
        decoder = engine.tokenizer.decoder(prompt, skip_special_tokens=skip_special_tokens)
        text = "".join(map(decoder.decode, expected.token_ids)) + decoder.flush()
        assert text == expected.text
        assert ("<|end|>" in text) == (end in expected.token_ids and not skip_special_tokens)


async def test_prompts_are_tokenized_as_vllm_does(llm: AsyncLLM, engine: VllmEngine) -> None:
    text = "the world of 世界 🙂 <|user|> and"
    prompt: Any = {"prompt": text}
    (output,) = [output async for output in llm.generate(prompt, SamplingParams(max_tokens=1), "direct")]
    assert engine.tokenizer.encode(text) == vars(output)["prompt_token_ids"]


async def test_choices_are_those_of_a_direct_call(llm: AsyncLLM, engine: VllmEngine) -> None:
    expected = await direct(llm, engine, n=3, temperature=1.0, seed=5)
    choices = await made(engine, generation(engine, replace(RANDOM, n=3, seed=5, max_tokens=48)))
    assert {index: choice.token_ids for index, choice in choices.items()} == {
        output.index: list(output.token_ids) for output in expected
    }


async def test_greedy_choices_are_alike(engine: VllmEngine) -> None:
    choices = await made(engine, generation(engine, replace(GREEDY, n=2)))
    assert choices[0].token_ids == choices[1].token_ids


async def test_logprobs_are_those_of_a_direct_call(llm: AsyncLLM, engine: VllmEngine) -> None:
    (expected,) = await direct(llm, engine, logprobs=3)
    choice = (await made(engine, generation(engine, replace(GREEDY, logprobs=3))))[0]
    assert len(choice.logprobs) == len(choice.token_ids) == 48
    assert expected.logprobs is not None
    for token_id, ours, theirs in zip(choice.token_ids, choice.logprobs, expected.logprobs, strict=True):
        assert ours.logprob == theirs[token_id].logprob
        assert dict(ours.alternatives) == {other: entry.logprob for other, entry in theirs.items()}
        assert [logprob for _, logprob in ours.alternatives] == sorted(dict(ours.alternatives).values(), reverse=True)
        assert ours.alternatives[0] == (token_id, ours.logprob), "greedy takes the best"


async def test_without_alternatives_the_chosen_token_alone_has_a_logprob(engine: VllmEngine) -> None:
    choice = (await made(engine, generation(engine, replace(RANDOM, logprobs=0))))[0]
    assert len(choice.logprobs) == 64
    assert all(logprob.alternatives == () and logprob.logprob < 0 for logprob in choice.logprobs)


@pytest.mark.parametrize(
    "sampling",
    [
        GREEDY,
        replace(GREEDY, repetition_penalty=1.5),
        replace(GREEDY, min_tokens=20, logit_bias={491: 100.0}),
        replace(GREEDY, logit_bias={65: 6.0, 66: 5.0}, logprobs=2),
    ],
    ids=["plain", "repetition penalty", "min_tokens", "bias and logprobs"],
)
async def test_a_continuation_at_any_token_goes_on_as_if_nothing_had_happened(
    engine: VllmEngine, sampling: Sampling
) -> None:
    whole = (await made(engine, generation(engine, sampling)))[0]
    for sent in range(1, len(whole.token_ids), 3):
        asked = generation(engine, sampling, sent={0: whole.token_ids[:sent]})
        assert engine.continues_exactly(asked)
        rest = (await made(engine, asked))[0]
        assert whole.token_ids == whole.token_ids[:sent] + rest.token_ids
        assert rest.ended is whole.ended
        for ours, theirs in zip(rest.logprobs, whole.logprobs[sent:], strict=True):
            assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-4)


async def test_each_choice_goes_on_from_its_own_tokens(engine: VllmEngine) -> None:
    whole = (await made(engine, generation(engine, GREEDY)))[0].token_ids
    asked = generation(
        engine, replace(GREEDY, n=4), sent={0: whole[:30], 2: whole[:5], 3: whole[:1]}, finished=frozenset({3})
    )
    rest = await made(engine, asked)
    assert {index: choice.token_ids for index, choice in rest.items()} == {0: whole[30:], 1: whole, 2: whole[5:]}


async def test_the_end_of_sequence_ends_a_choice_unless_it_is_ignored(engine: VllmEngine) -> None:
    (end,) = engine.model.eos_token_ids
    ended = (await made(engine, generation(engine, replace(GREEDY, logit_bias={end: 100.0}))))[0]
    assert (ended.token_ids, ended.ended, ended.stop_token_id) == ([end], Ended.STOP, None)
    sampling = replace(GREEDY, logit_bias={end: 100.0}, ignore_eos=True)
    ignored = (await made(engine, generation(engine, sampling)))[0]
    assert (ignored.token_ids, ignored.ended) == ([end] * 48, Ended.LENGTH)


async def test_a_stop_token_ends_a_choice_and_is_named(engine: VllmEngine) -> None:
    whole = (await made(engine, generation(engine, GREEDY)))[0].token_ids
    stop = whole[10]
    stopped = (await made(engine, generation(engine, replace(GREEDY, stop_token_ids=(stop,)))))[0]
    assert stopped.token_ids == whole[: whole.index(stop) + 1]
    assert (stopped.ended, stopped.stop_token_id) == (Ended.STOP, stop)


SCHEMA = {
    "type": "object",
    "properties": {"is": {"type": "boolean"}, "of": {"enum": ["a", "b"]}},
    "required": ["is", "of"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("kind", "form", "expected"),
    [
        ("json_schema", json.dumps(SCHEMA), r'\{"is": ?(true|false), ?"of": ?"[ab]"\}'),
        ("regex", "(ab|cd){2,4}e", "(ab|cd){2,4}e"),
        ("grammar", 'root ::= "yes" | "no"', "yes|no"),
        ("choice", ("the way", "hot"), "the way|hot"),
    ],
)
async def test_structured_output_has_its_form(
    engine: VllmEngine, kind: str, form: str | tuple[str, ...], expected: str
) -> None:
    asked = generation(engine, replace(RANDOM, structured_output=(kind, form)))
    choice = (await made(engine, asked))[0]
    assert choice.ended is Ended.STOP
    assert re.fullmatch(expected, text_of(engine, asked.prompt_token_ids, choice.token_ids[:-1]))


async def test_prompts_with_the_same_salt_share_their_prefix(engine: VllmEngine) -> None:
    words = "and " * (3 * BLOCK_TOKENS)
    brief = Sampling(max_tokens=1, temperature=0.0)

    async def cached(salt: str) -> int:
        return (await made(engine, generation(engine, brief, words, cache_salt=salt)))[0].cached_tokens

    assert await cached("mine") == 0
    assert await cached("mine") >= 2 * BLOCK_TOKENS
    assert await cached("yours") == 0


async def test_an_adapter_answers_by_its_name_alone(engine: VllmEngine) -> None:
    assert engine.model.lora_names == ("calm",)
    plain, calm, again = [
        (await made(engine, generation(engine, GREEDY, lora_name=name)))[0].token_ids for name in ("", "calm", "calm")
    ]
    assert calm == again != plain


def refused_fields() -> list[tuple[str, Callable[[Generation], Generation]]]:
    def sampling(**changes: Any) -> Callable[[Generation], Generation]:
        return lambda asked: replace(asked, sampling=replace(asked.sampling, **changes))

    return [
        ("prompt", lambda asked: replace(asked, prompt_token_ids=[1, 999_999])),
        ("prompt", lambda asked: replace(asked, prompt_token_ids=[])),
        ("lora_name", lambda asked: replace(asked, lora_name="none")),
        ("sampling.logprobs", sampling(logprobs=21)),
        ("sampling.logit_bias", sampling(logit_bias={5_000: 1.0})),
        ("sampling.stop_token_ids", sampling(stop_token_ids=(5_000,))),
        ("sampling.json_schema", sampling(structured_output=("json_schema", "{"))),
        ("sampling.regex", sampling(structured_output=("regex", "((("))),
        ("sampling.grammar", sampling(structured_output=("grammar", "!!"))),
        ("sampling.choice", sampling(structured_output=("choice", ()))),
    ]


@pytest.mark.parametrize(("field_name", "change"), refused_fields())
async def test_what_cannot_be_done_is_refused_by_name(
    engine: VllmEngine, field_name: str, change: Callable[[Generation], Generation]
) -> None:
    with pytest.raises(UnsupportedField) as refused:
        await made(engine, change(generation(engine, GREEDY)))
    assert refused.value.field_name == field_name


async def test_a_model_that_generates_makes_no_embeddings(engine: VllmEngine) -> None:
    assert not engine.model.can_embed
    with pytest.raises(UnsupportedField) as refused:
        await engine.embed("request", [1, 2, 3], None)
    assert refused.value.field_name == "model"
