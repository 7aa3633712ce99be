"""Two replicas with the simulated engine: one begins a stream, the other one goes on with it."""

import random
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest
from grpc import aio

from inference.v1 import inference_pb2 as pb
from inference.v1.inference_pb2_grpc import InferenceStub
from serving.app import Replica
from serving.engines.simulated.engine import create
from serving.engines.simulated.settings import SimulatedSettings
from tests.serving.replicas import seen_in, sent_chat_choices
from tests.serving.running import SETTINGS

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def replica_channel() -> AsyncGenerator[aio.Channel, None]:
    async with Replica(SETTINGS, time.monotonic, random.Random(1)).listening() as replica:
        await replica.open(await create(SimulatedSettings(model="fake", speedup=1_000.0)))
        async with aio.insecure_channel(f"127.0.0.1:{replica.port}") as channel:
            yield channel


async def generated(channel: aio.Channel, request: pb.GenerateRequest) -> list[pb.GenerateResponse]:
    return [message async for message in InferenceStub(channel).Generate(request)]


async def answered(channel: aio.Channel, request: pb.ChatRequest) -> list[pb.ChatResponse]:
    return [message async for message in InferenceStub(channel).Chat(request)]


def generate_continuation(sent: Sequence[pb.GenerateResponse]) -> pb.GenerateContinuation:
    choices = [
        pb.SentChoice(
            index=index,
            token_ids=seen.token_ids,
            text_bytes=len(seen.text.encode()),
            finish_reason=seen.finish_reason,
        )
        for index, seen in seen_in(sent).items()
    ]
    return pb.GenerateContinuation(next_sequence=len(sent), usage=sent[0].usage, choices=choices)


async def test_generate_goes_on_elsewhere_as_if_nothing_had_happened() -> None:
    async with replica_channel() as first, replica_channel() as second:
        request = pb.GenerateRequest(
            text="Tell me.", sampling=pb.SamplingParameters(max_tokens=40, ignore_eos=True, n=2)
        )
        text = seen_in(await generated(first, request))[0].text
        request.sampling.stop_strings.append(text[90:97])
        undisturbed = await generated(first, request)
        for cut in range(1, len(undisturbed) + 1, 5):
            sent = undisturbed[:cut]
            continued = pb.GenerateRequest()
            continued.CopyFrom(request)
            continued.continuation.CopyFrom(generate_continuation(sent))
            whole = [*sent, *await generated(second, continued)]
            assert seen_in(whole) == seen_in(undisturbed)
            assert [message.sequence for message in whole] == list(range(len(whole)))
            assert whole[-1].usage.completion_tokens == undisturbed[-1].usage.completion_tokens
            assert not any(message.continued_inexactly for message in whole)


async def test_chat_goes_on_elsewhere_inside_thoughts_and_calls() -> None:
    async with replica_channel() as first, replica_channel() as second:
        request = pb.ChatRequest(
            messages=[pb.ChatMessage(role=pb.ROLE_USER, parts=[pb.ContentPart(text="Which?")])],
            tools=[
                pb.Tool(
                    name="find", parameters_json_schema='{"type": "object", "properties": {"q": {"type": "string"}}}'
                )
            ],
            tool_choice=pb.ToolChoice(tool_name="find"),
            template_arguments_json='{"enable_thinking": true}',
        )
        undisturbed = await answered(first, request)
        whole_answer = seen_in(undisturbed)[0]
        assert whole_answer.reasoning
        assert whole_answer.calls
        assert whole_answer.finish_reason == pb.FINISH_REASON_TOOL_CALLS
        for cut in range(1, len(undisturbed) + 1, 3):
            sent = undisturbed[:cut]
            continued = pb.ChatRequest()
            continued.CopyFrom(request)
            continued.continuation.CopyFrom(
                pb.ChatContinuation(next_sequence=cut, usage=sent[0].usage, choices=sent_chat_choices(sent).values())
            )
            whole = [*sent, *await answered(second, continued)]
            seen = seen_in(whole)[0]
            assert (seen.reasoning, seen.token_ids) == (whole_answer.reasoning, whole_answer.token_ids)
            assert [call[1:] for call in seen.calls] == [call[1:] for call in whole_answer.calls]
            assert seen.finish_reason == whole_answer.finish_reason
            assert [message.sequence for message in whole] == list(range(len(whole)))
