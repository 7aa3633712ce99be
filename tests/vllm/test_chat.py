"""Conversations through the model's own template and vLLM's own parsers."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from vllm.v1.engine.async_llm import AsyncLLM

from inference.v1 import inference_pb2 as pb
from serving.engine import ChatParser, ChatPiece, Content, Reasoning, ToolCallPiece, UnsupportedField
from serving.engines.vllm.chat import ModelChat
from serving.engines.vllm.engine import VllmEngine
from serving.engines.vllm.settings import VllmSettings

TOOL = pb.Tool(
    name="add",
    description="adds",
    parameters_json_schema='{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}',
)


def message(role: pb.Role.ValueType, *texts: str, **fields: Any) -> pb.ChatMessage:
    return pb.ChatMessage(role=role, parts=[pb.ContentPart(text=text) for text in texts], **fields)


USER = message(pb.ROLE_USER, "hi")
IMAGE = pb.ContentPart(image=pb.Image(media_type="image/png", data=b"png"))


def asked(*tools: pb.Tool, choice: pb.ToolChoice | None = None, **fields: Any) -> pb.ChatRequest:
    return pb.ChatRequest(messages=[USER], tools=tools, tool_choice=choice, **fields)


REQUIRED = pb.ToolChoice(mode=pb.ToolChoice.MODE_REQUIRED)
NONE = pb.ToolChoice(mode=pb.ToolChoice.MODE_NONE)


@pytest.fixture
def parsing(llm: AsyncLLM) -> ModelChat:
    """The chat of a replica that was given both kinds of parsers."""
    settings = VllmSettings(model="tiny", tool_parser="hermes", reasoning_parser="deepseek_r1")
    return ModelChat(llm.renderer, llm.model_config, settings)


def text_of(engine: VllmEngine, token_ids: Sequence[int]) -> str:
    decoder = engine.tokenizer.decoder([], skip_special_tokens=False)
    return "".join(map(decoder.decode, token_ids))


def test_renders_the_models_template(engine: VllmEngine) -> None:
    messages = [
        message(pb.ROLE_SYSTEM, "be", "brief"),
        USER,
        message(
            pb.ROLE_ASSISTANT,
            reasoning="hm",
            tool_calls=[pb.ToolCall(id="1", name="add", arguments_json='{"a": 1}')],
        ),
        message(pb.ROLE_TOOL, "2", tool_call_id="1"),
    ]
    rendered = text_of(engine, engine.chat.render(messages, [TOOL], '{"enable_thinking": true}'))
    assert rendered == (
        '<|system|>tools: {"name": "add", "description": "adds", "parameters": '
        '{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}<|end|>'
        "<|system|>be\nbrief<|end|><|user|>hi<|end|>"
        '<|assistant|><think>hm</think><tool_call>{"name": "add", "arguments": {"a": 1}}</tool_call><|end|>'
        "<|tool|>2<|end|><|assistant|><think>"
    )


def test_a_developer_is_a_system_to_a_template_without_developers(engine: VllmEngine) -> None:
    assert text_of(engine, engine.chat.render([message(pb.ROLE_DEVELOPER, "be"), USER], [], "")) == (
        "<|system|>be<|end|><|user|>hi<|end|><|assistant|>"
    )


@pytest.mark.parametrize(
    ("field_name", "messages", "tools", "arguments"),
    [
        ("messages[1].parts.image", [USER, pb.ChatMessage(role=pb.ROLE_USER, parts=[IMAGE])], [], ""),
        ("tools[0].parameters_json_schema", [USER], [pb.Tool(name="f", parameters_json_schema="{")], ""),
        ("tools[0].parameters_json_schema", [USER], [pb.Tool(name="f", parameters_json_schema="[]")], ""),
        ("template_arguments_json", [USER], [], '{"chat_template": "mine"}'),
        ("messages", [message(pb.ROLE_USER, "and " * 2000)], [], ""),
    ],
)
def test_what_cannot_be_rendered_is_refused_by_name(
    engine: VllmEngine, field_name: str, messages: list[pb.ChatMessage], tools: list[pb.Tool], arguments: str
) -> None:
    with pytest.raises(UnsupportedField) as refused:
        engine.chat.render(messages, tools, arguments)
    assert refused.value.field_name == field_name


def test_without_parsers_all_is_content(engine: VllmEngine) -> None:
    for request in (asked(), asked(TOOL, choice=NONE)):
        parser = engine.chat.parser(request, [1])
        assert [*parser.feed("<think>a", [5]), *parser.feed("", [6]), *parser.finish()] == [Content("<think>a")]
        assert engine.chat.constrain(request) is None
        assert not engine.chat.needs_special_tokens(request)


def test_calls_of_the_models_own_choice_need_a_tool_parser(engine: VllmEngine) -> None:
    with pytest.raises(UnsupportedField) as refused:
        engine.chat.constrain(asked(TOOL))
    assert refused.value.field_name == "tools"


def test_a_demanded_tool_constrains_the_output_to_its_arguments(engine: VllmEngine) -> None:
    form = engine.chat.constrain(asked(TOOL, choice=pb.ToolChoice(tool_name="add")))
    assert form is not None
    kind, schema = form
    assert isinstance(schema, str)
    assert (kind, json.loads(schema)) == ("tool_schema", json.loads(TOOL.parameters_json_schema))


def test_demanded_calls_are_read_from_json(engine: VllmEngine) -> None:
    named = engine.chat.parser(asked(TOOL, choice=pb.ToolChoice(tool_name="add")), [1])
    assert calls(spelt(engine, named, '{"a": 17}')) == [("add", '{"a": 17}')]
    required = engine.chat.parser(asked(TOOL, choice=REQUIRED), [1])
    written = '[{"name": "add", "parameters": {"a": 1}}, {"name": "add", "parameters": {"a": 2}}]'
    assert calls(spelt(engine, required, written)) == [("add", '{"a": 1}'), ("add", '{"a": 2}')]


ANSWER = '<think>hm, 2</think>it is<tool_call>{"name": "add", "arguments": {"a": 2}}</tool_call>'


def test_vllms_parsers_tell_thoughts_answers_and_calls_apart(engine: VllmEngine, parsing: ModelChat) -> None:
    request = asked(TOOL)
    assert parsing.needs_special_tokens(request)
    pieces = spelt(engine, parsing.parser(request, engine.chat.render([USER], [TOOL], "")), ANSWER)
    assert "".join(piece.text for piece in pieces if isinstance(piece, Reasoning)) == "hm, 2"
    assert "".join(piece.text for piece in pieces if isinstance(piece, Content)) == "it is"
    assert calls(pieces) == [("add", '{"a": 2}')]


def test_a_parser_says_the_same_each_time_but_for_the_ids_of_calls(engine: VllmEngine, parsing: ModelChat) -> None:
    first, second = (spelt(engine, parsing.parser(asked(TOOL), [1]), ANSWER) for _ in range(2))
    assert [_without_id(piece) for piece in first] == [_without_id(piece) for piece in second]


@pytest.mark.parametrize(
    "settings",
    [VllmSettings(model="tiny", tool_parser="none-such"), VllmSettings(model="tiny", reasoning_parser="none-such")],
)
def test_an_unknown_parser_is_a_setting_that_cannot_be(llm: AsyncLLM, settings: VllmSettings) -> None:
    with pytest.raises(ValueError, match="none-such"):
        ModelChat(llm.renderer, llm.model_config, settings)


def spelt(engine: VllmEngine, parser: ChatParser, text: str) -> list[ChatPiece]:
    """All that a parser makes of a text, token by token."""
    decoder = engine.tokenizer.decoder([], skip_special_tokens=False)
    pieces: list[ChatPiece] = []
    for token_id in engine.tokenizer.encode(text):
        pieces += parser.feed(decoder.decode(token_id), [token_id])
    return [*pieces, *parser.finish()]


def calls(pieces: Sequence[ChatPiece]) -> list[tuple[str, str]]:
    """Name and arguments of each call; its id and its name stand in its first piece alone."""
    found: list[tuple[str, str]] = []
    for piece in pieces:
        if isinstance(piece, ToolCallPiece):
            assert bool(piece.id) == bool(piece.name) == (piece.index == len(found))
            if piece.name:
                found.append((piece.name, ""))
            name, arguments = found[piece.index]
            found[piece.index] = name, arguments + piece.arguments_json
    return found


def _without_id(piece: ChatPiece) -> ChatPiece:
    return (
        ToolCallPiece(piece.index, piece.arguments_json, "", piece.name) if isinstance(piece, ToolCallPiece) else piece
    )
