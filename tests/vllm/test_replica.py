"""A replica with vLLM as agents and gateways see it."""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc import aio
from vllm.inputs import tokens_input
from vllm.sampling_params import RequestOutputKind, SamplingParams
from vllm.v1.engine.async_llm import AsyncLLM
from xds.data.orca.v3.orca_load_report_pb2 import OrcaLoadReport

from inference.v1 import inference_pb2 as pb
from inference.v1.inference_pb2_grpc import InferenceStub
from serving.engines.vllm.engine import VllmEngine
from tests.serving.replicas import seen_in
from tests.serving.running import ended
from tests.vllm.generations import PROMPT
from tests.vllm.setting import BLOCK_TOKENS
from tests.vllm.streams import (
    chat,
    conversation,
    generate,
    go_on,
    go_on_chatting,
    ids_of,
    load_reports,
    request,
    text_of,
)

if TYPE_CHECKING:
    from inference.v1.inference_pb2_grpc import InferenceAsyncStub

TOOL = pb.Tool(
    name="is_it",
    parameters_json_schema=json.dumps(
        {
            "type": "object",
            "properties": {"so": {"type": "boolean"}},
            "required": ["so"],
            "additionalProperties": False,
        }
    ),
)


@pytest.fixture
def stub(channel: aio.Channel) -> "InferenceAsyncStub":
    return InferenceStub(channel)


async def report_where(channel: aio.Channel, is_so: Callable[[OrcaLoadReport], bool]) -> OrcaLoadReport:
    """Return the first load report of which this is so."""
    watch = load_reports(channel)
    try:
        async with asyncio.timeout(20.0):
            async for report in watch:
                if is_so(report):
                    return report
    finally:
        watch.cancel()
    raise AssertionError("the replica ended its reports")


async def test_greedy_output_equals_a_direct_call(
    stub: "InferenceAsyncStub", llm: AsyncLLM, engine: VllmEngine
) -> None:
    params = SamplingParams(temperature=0.0, max_tokens=48, output_kind=RequestOutputKind.FINAL_ONLY)
    prompt = tokens_input(engine.tokenizer.encode(PROMPT))
    (output,) = [each async for each in llm.generate(prompt, params, "direct")]
    responses = await generate(stub, request())
    assert text_of(responses) == output.outputs[0].text
    assert ids_of(responses) == list(output.outputs[0].token_ids)
    assert [response.sequence for response in responses] == list(range(len(responses)))
    assert responses[-1].usage.completion_tokens == 48


async def test_stop_strings_end_where_vllm_ends_them(
    stub: "InferenceAsyncStub", llm: AsyncLLM, engine: VllmEngine
) -> None:
    whole = text_of(await generate(stub, request()))
    for include in (False, True):
        stops = [whole[20:23], whole[30:32]]
        params = SamplingParams(
            temperature=0.0,
            max_tokens=48,
            stop=stops,
            include_stop_str_in_output=include,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        prompt = tokens_input(engine.tokenizer.encode(PROMPT))
        (output,) = [each async for each in llm.generate(prompt, params, "direct")]
        responses = await generate(stub, request(stop_strings=stops, include_stop_string=include))
        assert text_of(responses) == output.outputs[0].text
        assert ids_of(responses) == list(output.outputs[0].token_ids)
        assert responses[-1].finish_reason == pb.FINISH_REASON_STOP
        assert responses[-1].stop_string == output.outputs[0].stop_reason


async def test_a_cancelled_stream_is_aborted_inside_the_engine(
    channel: aio.Channel, stub: "InferenceAsyncStub"
) -> None:
    streams = [stub.Generate(request(max_tokens=900, ignore_eos=True)) for _ in range(3)]
    for stream in streams:
        await stream.read()
    await report_where(channel, lambda report: report.named_metrics["running_requests"] == 3)
    for stream in streams:
        stream.cancel()
    idle = await report_where(channel, lambda report: report.named_metrics["running_requests"] == 0)
    assert idle.named_metrics["queue_depth"] == 0


async def test_load_reports_say_what_runs_and_what_waits(channel: aio.Channel, stub: "InferenceAsyncStub") -> None:
    idle = await report_where(channel, lambda report: report.named_metrics["running_requests"] == 0)
    assert idle.named_metrics["kv_cache_utilization"] == 0
    stream = stub.Generate(request(max_tokens=900, ignore_eos=True, n=6))
    await stream.read()
    busy = await report_where(channel, lambda report: report.named_metrics["queue_depth"] == 2)
    assert busy.named_metrics["running_requests"] == 4
    assert 0 < busy.named_metrics["kv_cache_utilization"] < 1
    assert busy.named_metrics["uncached_waiting_tokens"] > 0
    stream.cancel()
    await report_where(channel, lambda report: report.named_metrics["running_requests"] == 0)


@pytest.mark.parametrize("stop_at", [None, 40])
async def test_a_stream_cut_anywhere_goes_on_as_if_it_had_not_been(
    stub: "InferenceAsyncStub", stop_at: int | None
) -> None:
    """At each message: inside characters (the tiny model writes bytes), and inside the stop string."""
    asked = request()
    if stop_at is not None:
        # Several tokens long, so that it straddles some of the cuts.
        whole_text = text_of(await generate(stub, asked))
        asked = request(stop_strings=[whole_text[stop_at : stop_at + 9]])
    whole = await generate(stub, asked)
    expected = seen_in(whole)[0]
    for cut in range(1, len(whole)):
        rest = await generate(stub, go_on(asked, whole[:cut]))
        seen = seen_in([*whole[:cut], *rest])[0]
        assert (seen.text, seen.token_ids, seen.matched_stop) == (
            expected.text,
            expected.token_ids,
            expected.matched_stop,
        ), cut
        assert seen.finish_reason == expected.finish_reason
        assert [response.sequence for response in rest] == list(range(cut, cut + len(rest)))
        assert rest[-1].usage == whole[-1].usage
        assert not any(response.continued_inexactly for response in rest)


async def test_two_choices_cut_anywhere_go_on_with_their_own_tokens_and_logprobs(stub: "InferenceAsyncStub") -> None:
    asked = request(n=2, max_tokens=12, logprobs=1)
    whole = await generate(stub, asked)
    expected = seen_in(whole)
    assert len(expected) == 2
    for cut in range(1, len(whole), 3):
        seen = seen_in([*whole[:cut], *await generate(stub, go_on(asked, whole[:cut]))])
        for index in (0, 1):
            assert seen[index].text == expected[index].text
            assert seen[index].token_ids == expected[index].token_ids
            assert seen[index].logprobs == pytest.approx(expected[index].logprobs, abs=1e-4)


async def test_what_goes_on_inexactly_says_so(stub: "InferenceAsyncStub") -> None:
    asked = request(temperature=1.0, seed=5, max_tokens=12)
    whole = await generate(stub, asked)
    rest = await generate(stub, go_on(asked, whole[:4]))
    assert [response.continued_inexactly for response in rest] == [True] + [False] * (len(rest) - 1)
    assert len(ids_of(whole[:4])) + len(ids_of(rest)) == 12


async def test_a_constrained_stream_cannot_go_on(stub: "InferenceAsyncStub") -> None:
    asked = request(regex="(ab|cd){2,4}e")
    whole = await generate(stub, asked)
    with pytest.raises(aio.AioRpcError) as failed:
        await generate(stub, go_on(asked, whole[:2]))
    assert ended(failed.value).reason == "CONTINUATION_IMPOSSIBLE"


async def test_logprobs_go_out_with_their_ids(stub: "InferenceAsyncStub") -> None:
    responses = await generate(stub, request(logprobs=3))
    assert all(len(response.logprobs) == len(response.token_ids) for response in responses)
    for response in responses:
        for token_id, logprob in zip(response.token_ids, response.logprobs, strict=True):
            best = logprob.alternatives[0]
            assert (best.token_id, best.logprob) == (token_id, logprob.logprob)
            assert len(logprob.alternatives) == 3


async def test_a_known_prompt_is_taken_from_the_cache(stub: "InferenceAsyncStub") -> None:
    asked = request(max_tokens=2)
    asked.token_ids.ids.extend([7] * (4 * BLOCK_TOKENS))
    first, second = [await generate(stub, asked) for _ in range(2)]
    assert first[0].usage == pb.Usage(prompt_tokens=128)
    assert second[0].usage == pb.Usage(prompt_tokens=128, cached_tokens=96)


async def test_chat_renders_the_template_and_answers(stub: "InferenceAsyncStub", engine: VllmEngine) -> None:
    asked = conversation()
    tokenized = await stub.Tokenize(pb.TokenizeRequest(messages=asked.messages))
    decoder = engine.tokenizer.decoder([], skip_special_tokens=False)
    assert "".join(map(decoder.decode, tokenized.token_ids)) == "<|user|>hi<|end|><|assistant|>"
    generated = request()
    generated.token_ids.ids.extend(tokenized.token_ids)
    expected = await generate(stub, generated)
    answered = await chat(stub, asked)
    assert seen_in(answered)[0].content == text_of(expected)
    assert ids_of(answered) == ids_of(expected)


async def test_a_demanded_tool_is_called(stub: "InferenceAsyncStub") -> None:
    asked = conversation(TOOL, temperature=1.0, seed=2)
    for choice in (pb.ToolChoice(tool_name="is_it"), pb.ToolChoice(mode=pb.ToolChoice.MODE_REQUIRED)):
        asked.tool_choice.CopyFrom(choice)
        seen = seen_in(await chat(stub, asked))[0]
        ((call_id, name, arguments),) = seen.calls
        assert call_id
        assert name == "is_it"
        assert json.loads(arguments).keys() == {"so"}
        assert (seen.finish_reason, seen.content) == (pb.FINISH_REASON_TOOL_CALLS, "")


async def test_a_conversation_cut_anywhere_goes_on(stub: "InferenceAsyncStub") -> None:
    asked = conversation(max_tokens=24)
    whole = await chat(stub, asked)
    expected = seen_in(whole)[0]
    for cut in range(1, len(whole), 3):
        seen = seen_in([*whole[:cut], *await chat(stub, go_on_chatting(asked, whole[:cut]))])[0]
        assert (seen.content, seen.token_ids) == (expected.content, expected.token_ids)


@pytest.mark.parametrize(
    ("field", "asked"),
    [
        ("sampling.temperature", request(temperature=0.001)),
        ("sampling.json_schema", request(json_schema="{")),
        ("sampling.grammar", request(grammar="!!")),
        ("sampling.logit_bias", request(logit_bias={9_999: 1.0})),
        ("prompt", pb.GenerateRequest(token_ids=pb.TokenIds(ids=[9_999]))),
    ],
)
async def test_what_vllm_cannot_do_is_refused_by_name(
    stub: "InferenceAsyncStub", field: str, asked: pb.GenerateRequest
) -> None:
    with pytest.raises(aio.AioRpcError) as failed:
        await generate(stub, asked)
    how = ended(failed.value)
    assert (how.code, how.metadata["field"]) == (grpc.StatusCode.INVALID_ARGUMENT, field)


async def test_a_conversation_that_cannot_be_is_refused_by_name(stub: "InferenceAsyncStub") -> None:
    with pytest.raises(aio.AioRpcError) as failed:
        await chat(stub, conversation(TOOL))
    assert ended(failed.value).metadata["field"] == "tools"
