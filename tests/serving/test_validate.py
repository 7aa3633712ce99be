from math import inf, nan
from typing import Any

import pytest

from gateway.rpc.status import Failure, Reason
from inference.v1 import inference_pb2 as pb
from serving import validate
from serving.engine import EngineModel, Sampling
from serving.stream import Start
from serving.text import TextRules

MODEL = EngineModel("m", context_tokens=100, kv_cache_tokens=1000, lora_names=("a",))


def test_what_is_left_out_has_the_contracts_defaults() -> None:
    parameters = pb.SamplingParameters()
    validate.check_sampling(parameters)
    assert validate.sampling_of(parameters, 40) == Sampling(max_tokens=40)
    assert validate.text_rules_of(parameters) == TextRules()


def test_what_is_given_reaches_the_engine() -> None:
    parameters = pb.SamplingParameters(
        temperature=0.0,
        top_p=0.5,
        top_k=7,
        min_p=0.25,
        presence_penalty=-2,
        frequency_penalty=2,
        repetition_penalty=1.5,
        max_tokens=9,
        min_tokens=3,
        stop_token_ids=[4, 5],
        seed=0,
        n=2,
        logprobs=0,
        logit_bias={1: -100, 2: 100},
        ignore_eos=True,
        regex="a+",
    )
    validate.check_sampling(parameters)
    assert validate.sampling_of(parameters, 40) == Sampling(
        max_tokens=9,
        min_tokens=3,
        temperature=0.0,
        top_p=0.5,
        top_k=7,
        min_p=0.25,
        presence_penalty=-2,
        frequency_penalty=2,
        repetition_penalty=1.5,
        stop_token_ids=(4, 5),
        seed=0,
        n=2,
        logprobs=0,
        logit_bias={1: -100, 2: 100},
        ignore_eos=True,
        structured_output=("regex", "a+"),
    )


def test_every_sampling_parameter_is_one_of_the_engine_or_of_the_text() -> None:
    """A field that is added to the contract must not be dropped in silence."""
    forms = {"json_schema", "regex", "grammar", "choice"}
    of_text = {"stop_strings", "include_stop_string", "skip_special_tokens"}
    of_engine = set(Sampling.__dataclass_fields__) - {"structured_output"}
    assert {field.name for field in pb.SamplingParameters.DESCRIPTOR.fields} == forms | of_text | of_engine


def test_what_is_about_text_stays_here() -> None:
    parameters = pb.SamplingParameters(stop_strings=["x"], include_stop_string=True, skip_special_tokens=False)
    assert validate.text_rules_of(parameters) == TextRules(("x",), True, False)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": nan}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"min_p": -0.1}, "min_p"),
        ({"min_p": 1.1}, "min_p"),
        ({"presence_penalty": 2.1}, "presence_penalty"),
        ({"frequency_penalty": -2.1}, "frequency_penalty"),
        ({"repetition_penalty": 0.0}, "repetition_penalty"),
        ({"repetition_penalty": inf}, "repetition_penalty"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 2, "min_tokens": 3}, "min_tokens"),
        ({"stop_strings": ["x"] * 17}, "stop_strings"),
        ({"stop_strings": ["x", ""]}, "stop_strings"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"logprobs": 21}, "logprobs"),
        ({"logit_bias": {3: 101}}, "logit_bias"),
        ({"logit_bias": {3: nan}}, "logit_bias"),
        ({"choice": pb.Alternatives()}, "choice"),
        ({"choice": pb.Alternatives(texts=["a", ""])}, "choice"),
    ],
)
def test_a_parameter_out_of_its_range_is_named(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(Failure) as refused:
        validate.check_sampling(pb.SamplingParameters(**fields))
    assert refused.value.reason is Reason.INVALID_REQUEST
    assert refused.value.metadata == {"field": f"sampling.{field}"}
    assert refused.value.message.startswith(f"sampling.{field}: ")


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0.0},
        {"temperature": 2.0},
        {"top_p": 1.0},
        {"min_p": 1.0},
        {"presence_penalty": -2.0},
        {"n": 128},
        {"logprobs": 20},
        {"logit_bias": {3: 100}},
        {"stop_strings": ["x"] * 16},
        {"choice": pb.Alternatives(texts=["a"])},
    ],
)
def test_the_ends_of_a_range_are_in_it(fields: dict[str, Any]) -> None:
    validate.check_sampling(pb.SamplingParameters(**fields))


@pytest.mark.parametrize(("prompt_tokens", "asked", "max_tokens"), [(60, 30, 30), (60, 50, 40), (99, None, 1)])
def test_the_output_ends_with_the_context(prompt_tokens: int, asked: int | None, max_tokens: int) -> None:
    left_tokens = validate.check_prompt([0] * prompt_tokens, "text", MODEL)
    assert validate.sampling_of(pb.SamplingParameters(max_tokens=asked), left_tokens).max_tokens == max_tokens


@pytest.mark.parametrize("prompt_tokens", [0, 100])
def test_a_prompt_leaves_room_and_is_not_empty(prompt_tokens: int) -> None:
    with pytest.raises(Failure) as refused:
        validate.check_prompt([0] * prompt_tokens, "text", MODEL)
    assert refused.value.metadata == {"field": "text"}


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.GenerateRequest(model="m", lora_name="a", session_id="s" * 256), None),
        (pb.GenerateRequest(session_id="é" * 129), "session_id"),
        (pb.GenerateRequest(lora_name="b"), "lora_name"),
    ],
)
def test_names_are_checked_first(request_: pb.GenerateRequest, field: str | None) -> None:
    if field is None:
        validate.check_names(request_, MODEL)
        return
    with pytest.raises(Failure) as refused:
        validate.check_names(request_, MODEL)
    assert refused.value.metadata["field"] == field


def test_a_new_stream_begins_at_the_beginning() -> None:
    assert validate.start_of(pb.GenerateRequest(), 5) == Start(5)


def test_a_continued_stream_begins_where_it_was_cut() -> None:
    usage = pb.Usage(prompt_tokens=4)
    ended = pb.SentChatChoice(index=1, token_ids=[3], finish_reason=pb.FINISH_REASON_STOP)
    choices = [pb.SentChatChoice(index=0, token_ids=[1, 2]), ended]
    continuation = pb.ChatContinuation(next_sequence=3, usage=usage, choices=choices)
    request = pb.ChatRequest(continuation=continuation, sampling=pb.SamplingParameters(n=2))
    assert validate.start_of(request, 5) == Start(5, 3, usage, {0: [1, 2], 1: [3]}, frozenset({1}))


@pytest.mark.parametrize(
    ("continuation", "field"),
    [
        (pb.GenerateContinuation(next_sequence=1, choices=[pb.SentChoice(), pb.SentChoice()]), "choices"),
        (pb.GenerateContinuation(next_sequence=1, choices=[pb.SentChoice(index=1)]), "choices"),
        (pb.GenerateContinuation(choices=[pb.SentChoice()]), "next_sequence"),
    ],
)
def test_a_continuation_that_cannot_be_is_refused(continuation: pb.GenerateContinuation, field: str) -> None:
    with pytest.raises(Failure) as refused:
        validate.start_of(pb.GenerateRequest(continuation=continuation), 5)
    assert refused.value.metadata == {"field": f"continuation.{field}"}
