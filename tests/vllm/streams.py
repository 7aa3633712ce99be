"""Streams of a replica, and requests that go on where they were cut."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from grpc import aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from xds.data.orca.v3.orca_load_report_pb2 import OrcaLoadReport
from xds.service.orca.v3.orca_pb2 import OrcaLoadReportRequest

from inference.v1 import inference_pb2 as pb
from tests.serving.replicas import seen_in, sent_chat_choices
from tests.vllm.generations import PROMPT

if TYPE_CHECKING:
    from inference.v1.inference_pb2_grpc import InferenceAsyncStub


def request(**sampling: Any) -> pb.GenerateRequest:
    given: dict[str, Any] = {"temperature": 0.0, "max_tokens": 48, **sampling}
    return pb.GenerateRequest(model="tiny", text=PROMPT, sampling=pb.SamplingParameters(**given))


def conversation(*tools: pb.Tool, **sampling: Any) -> pb.ChatRequest:
    given: dict[str, Any] = {"temperature": 0.0, "max_tokens": 48, **sampling}
    message = pb.ChatMessage(role=pb.ROLE_USER, parts=[pb.ContentPart(text="hi")])
    return pb.ChatRequest(messages=[message], tools=tools, sampling=pb.SamplingParameters(**given))


async def generate(stub: "InferenceAsyncStub", asked: pb.GenerateRequest) -> list[pb.GenerateResponse]:
    return [response async for response in stub.Generate(asked)]


async def chat(stub: "InferenceAsyncStub", asked: pb.ChatRequest) -> list[pb.ChatResponse]:
    return [response async for response in stub.Chat(asked)]


def go_on(asked: pb.GenerateRequest, before: Sequence[pb.GenerateResponse]) -> pb.GenerateRequest:
    """Return the request for what comes after these messages."""
    choices = [
        pb.SentChoice(
            index=index,
            token_ids=seen.token_ids,
            text_bytes=len(seen.text.encode()),
            finish_reason=seen.finish_reason,
        )
        for index, seen in seen_in(before).items()
    ]
    again = pb.GenerateRequest()
    again.CopyFrom(asked)
    again.continuation.next_sequence = len(before)
    again.continuation.usage.CopyFrom(before[0].usage)
    again.continuation.choices.extend(choices)
    return again


def go_on_chatting(asked: pb.ChatRequest, before: Sequence[pb.ChatResponse]) -> pb.ChatRequest:
    again = pb.ChatRequest()
    again.CopyFrom(asked)
    again.continuation.next_sequence = len(before)
    again.continuation.usage.CopyFrom(before[0].usage)
    again.continuation.choices.extend(sent_chat_choices(before).values())
    return again


def text_of(responses: Sequence[pb.GenerateResponse]) -> str:
    return "".join(response.text for response in responses)


def ids_of(responses: Sequence[pb.GenerateResponse] | Sequence[pb.ChatResponse]) -> list[int]:
    return [token_id for response in responses for token_id in response.token_ids]


def health(channel: aio.Channel) -> "aio.UnaryStreamCall[HealthCheckRequest, HealthCheckResponse]":
    watch = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=HealthCheckRequest.SerializeToString,
        response_deserializer=HealthCheckResponse.FromString,
    )
    return watch(HealthCheckRequest())


def load_reports(channel: aio.Channel) -> "aio.UnaryStreamCall[OrcaLoadReportRequest, OrcaLoadReport]":
    watch = channel.unary_stream(
        "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics",
        request_serializer=OrcaLoadReportRequest.SerializeToString,
        response_deserializer=OrcaLoadReport.FromString,
    )
    return watch(OrcaLoadReportRequest())
