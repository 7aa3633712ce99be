"""Conversations, tools and thoughts: the widest messages of the contract, on other stacks."""

import json

import pytest

from gateway.rpc.status import Code
from inference.v1 import inference_pb2 as pb
from serving.engines.simulated.chat import SimulatedChat
from serving.engines.simulated.schema import example
from tests.interop.expected import answer_to
from tests.interop.python.calls import Call
from tests.interop.speaking import At

pytestmark = pytest.mark.interop

CHAT = "inference.v1.Inference/Chat"
SCHEMA = json.dumps({"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]})
WEATHER = pb.Tool(name="weather", description="Wie wird es?", parameters_json_schema=SCHEMA)
ASKED = pb.ChatMessage(role=pb.ROLE_USER, parts=[pb.ContentPart(text="Weather in "), pb.ContentPart(text="Zürich? 🌦")])
ANSWERED = [
    ASKED,
    pb.ChatMessage(
        role=pb.ROLE_ASSISTANT,
        reasoning="I have to look.",
        tool_calls=[pb.ToolCall(id="call-1", name="weather", arguments_json='{"town": "Zürich"}')],
    ),
    pb.ChatMessage(role=pb.ROLE_TOOL, tool_call_id="call-1", parts=[pb.ContentPart(text="天気がいい")]),
]
SAMPLING = pb.SamplingParameters(max_tokens=150, ignore_eos=True)


def test_answers_a_conversation_with_tool_results(inference: At) -> None:
    request = pb.ChatRequest(messages=ANSWERED, tools=[WEATHER], sampling=SAMPLING)
    result = inference.call(Call(CHAT, [request]))
    expected = answer_to(SimulatedChat().render(ANSWERED, [WEATHER], ""), SAMPLING.max_tokens)
    assert Code(result.code) is Code.OK
    assert [response.sequence for response in result.responses] == list(range(len(result.responses)))
    assert [token_id for response in result.responses for token_id in response.token_ids] == expected.token_ids
    assert "".join(response.content for response in result.responses) == expected.text


def test_calls_a_tool(inference: At) -> None:
    choice = pb.ToolChoice(tool_name="weather")
    result = inference.call(Call(CHAT, [pb.ChatRequest(messages=[ASKED], tools=[WEATHER], tool_choice=choice)]))
    calls = [response.tool_call for response in result.responses if response.HasField("tool_call")]
    assert Code(result.code) is Code.OK
    assert calls[0].name == "weather"
    assert calls[0].id
    assert "".join(call.arguments_json for call in calls) == example(SCHEMA)
    assert result.responses[-1].finish_reason == pb.FINISH_REASON_TOOL_CALLS


def test_thinks_before_it_answers(inference: At) -> None:
    thinking = '{"enable_thinking": true}'
    request = pb.ChatRequest(messages=[ASKED], sampling=SAMPLING, template_arguments_json=thinking)
    result = inference.call(Call(CHAT, [request]))
    expected = answer_to(SimulatedChat().render([ASKED], [], thinking), SAMPLING.max_tokens)
    reasoning = "".join(response.reasoning for response in result.responses)
    content = "".join(response.content for response in result.responses)
    assert reasoning
    assert f"<think>{reasoning}</think>{content}" == expected.text
