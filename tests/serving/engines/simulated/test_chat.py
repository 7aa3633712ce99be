import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.v1 import inference_pb2 as pb
from serving.engine import ChatPiece, Content, Reasoning, Sampling, ToolCallPiece, UnsupportedField
from serving.engines.simulated.answer import Answer, voice_of
from serving.engines.simulated.chat import SimulatedChat
from serving.engines.simulated.parser import SimulatedParser
from serving.engines.simulated.tokens import SimulatedDecoder, Special, encode

CHAT = SimulatedChat()
WEATHER = pb.Tool(
    name="weather",
    description="of a city",
    parameters_json_schema='{"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}',
)
CLOCK = pb.Tool(name="clock")
REQUIRED = pb.ToolChoice(mode=pb.ToolChoice.MODE_REQUIRED)
THINKING = '{"enable_thinking": true}'


def said(role: pb.Role.ValueType, text: str) -> pb.ChatMessage:
    return pb.ChatMessage(role=role, parts=[pb.ContentPart(text=text)])


def asked(
    *tools: pb.Tool, tool_choice: pb.ToolChoice | None = None, template_arguments_json: str = ""
) -> pb.ChatRequest:
    return pb.ChatRequest(
        messages=[said(pb.ROLE_SYSTEM, "Be kind."), said(pb.ROLE_USER, "Hello!")],
        tools=tools,
        tool_choice=tool_choice,
        template_arguments_json=template_arguments_json,
    )


def rendered(request: pb.ChatRequest) -> list[int]:
    return CHAT.render(request.messages, request.tools, request.template_arguments_json)


def answered(request: pb.ChatRequest) -> tuple[list[int], pb.ChatMessage]:
    """Return the ids that the model gives, and the message that a service makes of them."""
    prompt = rendered(request)
    sampling = Sampling(max_tokens=1000, structured_output=CHAT.constrain(request))
    answer = Answer(voice_of(prompt, "", 100), 0, sampling)
    token_ids = answer.tokens(0, answer.length)
    decoder = SimulatedDecoder(skip_special_tokens=True)
    parser = CHAT.parser(request, prompt)
    pieces = [piece for token_id in token_ids for piece in parser.feed(decoder.decode(token_id), [token_id])]
    return token_ids, message([*pieces, *parser.finish()])


def message(pieces: Sequence[ChatPiece]) -> pb.ChatMessage:
    result = pb.ChatMessage(role=pb.ROLE_ASSISTANT)
    for piece in pieces:
        match piece:
            case Content(text):
                result.parts.add(text=text)
            case Reasoning(text):
                result.reasoning += text
            case ToolCallPiece(index, arguments_json, id, name):
                call = result.tool_calls[index] if index < len(result.tool_calls) else result.tool_calls.add()
                call.MergeFrom(pb.ToolCall(id=id, name=name))
                call.arguments_json += arguments_json
    text = "".join(part.text for part in result.parts)
    del result.parts[:]
    if text:
        result.parts.add(text=text)
    return result


def text_of(chat_message: pb.ChatMessage) -> str:
    return "".join(part.text for part in chat_message.parts)


def test_a_conversation_becomes_a_prompt() -> None:
    assert rendered(asked()) == [
        *(Special.BEGIN, Special.SYSTEM, *encode("Be kind."), Special.END),
        *(Special.USER, *encode("Hello!"), Special.END),
        Special.ASSISTANT,
    ]


def test_tools_are_part_of_the_prompt() -> None:
    prompts = [rendered(asked()), rendered(asked(CLOCK)), rendered(asked(CLOCK, WEATHER))]
    assert all(one != other and len(one) < len(other) for one, other in pairwise(prompts))


def test_all_that_a_message_says_is_part_of_the_prompt() -> None:
    messages = [
        said(pb.ROLE_TOOL, "12 o'clock"),
        pb.ChatMessage(role=pb.ROLE_TOOL, parts=[pb.ContentPart(text="12 o'clock")], tool_call_id="call_1"),
        pb.ChatMessage(role=pb.ROLE_TOOL, parts=[pb.ContentPart(text="12 o'clock")], name="clock"),
        said(pb.ROLE_DEVELOPER, "12 o'clock"),
        pb.ChatMessage(role=pb.ROLE_ASSISTANT, reasoning="12 o'clock"),
        pb.ChatMessage(role=pb.ROLE_ASSISTANT, tool_calls=[pb.ToolCall(name="clock", arguments_json="{}")]),
    ]
    assert len({tuple(CHAT.render([message], [], "")) for message in messages}) == len(messages)


def test_without_tools_it_answers_in_words() -> None:
    _, answer = answered(asked())
    assert len(text_of(answer).split()) > 10
    assert not answer.reasoning
    assert not answer.tool_calls


def test_it_thinks_where_it_is_told_to() -> None:
    _, answer = answered(asked(template_arguments_json=THINKING))
    assert len(answer.reasoning.split()) > 10
    assert len(text_of(answer).split()) > 10


@pytest.mark.parametrize("thinking", ["", THINKING])
def test_it_calls_the_tool_that_it_must_call(thinking: str) -> None:
    named = pb.ToolChoice(tool_name="weather")
    _, answer = answered(asked(CLOCK, WEATHER, tool_choice=named, template_arguments_json=thinking))
    (call,) = answer.tool_calls
    assert (call.name, json.loads(call.arguments_json)) == ("weather", {"city": "word"})
    assert call.id.startswith("call_")
    assert not answer.parts
    assert bool(answer.reasoning) == bool(thinking)


def test_it_calls_some_tool_where_it_must() -> None:
    _, answer = answered(asked(CLOCK, WEATHER, tool_choice=REQUIRED))
    (call,) = answer.tool_calls
    assert call.name in ("clock", "weather")


@pytest.mark.parametrize(
    "request_",
    [asked(), asked(template_arguments_json=THINKING), asked(WEATHER, tool_choice=REQUIRED)],
    ids=["words", "thoughts", "call"],
)
def test_what_it_said_has_the_same_ids_in_the_next_prompt(request_: pb.ChatRequest) -> None:
    prompt = rendered(request_)
    token_ids, answer = answered(request_)
    request_.messages.extend([answer, said(pb.ROLE_USER, "And then?")])
    assert rendered(request_)[: len(prompt) + len(token_ids)] == prompt + token_ids


REFUSED = {
    "template_arguments_json": asked(template_arguments_json='{"enable_thinking": 7}'),
    "tool_choice": asked(CLOCK, tool_choice=pb.ToolChoice(tool_name="weather")),
    "tools.parameters_json_schema": asked(pb.Tool(parameters_json_schema="[]"), tool_choice=REQUIRED),
    "messages.role": pb.ChatRequest(messages=[pb.ChatMessage()]),
    "messages.parts.image": pb.ChatRequest(
        messages=[pb.ChatMessage(role=pb.ROLE_USER, parts=[pb.ContentPart(image=pb.Image())])]
    ),
}


@pytest.mark.parametrize("field", REFUSED)
def test_what_it_cannot_do_is_refused_by_the_fields_name(field: str) -> None:
    with pytest.raises(UnsupportedField) as refusal:
        answered(REFUSED[field])
    assert refusal.value.field_name == field


@pytest.mark.parametrize("arguments", ["nonsense", "[]", '{"other": 1}', '{"enable_thinking": true, "other": 1}'])
def test_only_one_template_argument_is_known(arguments: str) -> None:
    with pytest.raises(UnsupportedField, match=r"enable_thinking|not JSON"):
        rendered(asked(template_arguments_json=arguments))


def test_no_call_is_looked_for_where_there_are_no_tools() -> None:
    text = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'
    assert message(SimulatedParser("").feed(text, [])) == message([Content(text)])


def test_what_is_not_a_call_stays_as_it_is() -> None:
    for text in ("<tool_call>nonsense</tool_call> and on", '<tool_call>{"name": "f"'):
        parser = SimulatedParser("id")
        assert message([*parser.feed(text, []), *parser.finish()]) == message([Content(text)])


SCRAPS = st.sampled_from(
    ("<think>", "</think>", "<tool_call>", "</tool_call>", '{"name": "f", "arguments": ', "{}", "}", "<", "th", "é ")
)


@given(st.lists(SCRAPS | st.text(max_size=3), max_size=12), st.data())
def test_however_the_text_is_cut_the_message_is_the_same(scraps: list[str], data: st.DataObject) -> None:
    text = "".join(scraps)
    whole, cut = SimulatedParser("id"), SimulatedParser("id")
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    parts = [text[start:end] for start, end in pairwise([0, *ends, len(text)])]
    pieces = [piece for part in parts for piece in cut.feed(part, [])]
    assert message([*pieces, *cut.finish()]) == message([*whole.feed(text, []), *whole.finish()])
