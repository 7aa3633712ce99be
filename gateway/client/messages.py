"""Conversations as an agent writes them: typed values, or dicts with the same keys."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from inference.v1 import inference_pb2 as pb

Role = Literal["system", "developer", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool. Answer with `Message.tool_result`."""

    id: str
    name: str
    arguments_json: str
    """As the model wrote it: possibly not valid JSON."""

    @property
    def arguments(self) -> Any:
        """The arguments, parsed. Raises json.JSONDecodeError where the model wrote no valid JSON."""
        return json.loads(self.arguments_json)


@dataclass(frozen=True, slots=True)
class Image:
    data: bytes
    media_type: str = "image/png"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation. `dataclasses.asdict` makes a dict of it that `messages` takes as well."""

    role: Role
    content: str | Sequence[str | Image] = ""
    """Text, or text and images in order."""
    reasoning: str = ""
    """What the model thought before it answered. Role assistant only."""
    tool_calls: Sequence[ToolCall] = ()
    """Role assistant only."""
    tool_call_id: str = ""
    """Which call this is the result of. Role tool only."""
    name: str = ""
    """Of the participant or the tool. Optional."""

    @classmethod
    def tool_result(cls, call: ToolCall, content: str) -> "Message":
        """Return the message that answers `call`."""
        return cls("tool", content, tool_call_id=call.id, name=call.name)


@dataclass(frozen=True, slots=True)
class Tool:
    """Something that the model may ask the agent to do."""

    name: str
    """Letters, digits, '_' and '-', at most 64."""
    description: str = ""
    parameters: Mapping[str, Any] | None = None
    """JSON schema of the arguments; None: it takes none."""


class ToolCallDict(TypedDict):
    """A `ToolCall` as a dict."""

    id: str
    name: str
    arguments_json: str


class _MessageDict(TypedDict):
    role: Role


class MessageDict(_MessageDict, total=False):
    """A `Message` as a dict: {"role": "user", "content": "hi"}."""

    content: str | Sequence[str | Image]
    reasoning: str
    tool_calls: Sequence[ToolCall | ToolCallDict]
    tool_call_id: str
    name: str


class _ToolDict(TypedDict):
    name: str


class ToolDict(_ToolDict, total=False):
    """A `Tool` as a dict."""

    description: str
    parameters: Mapping[str, Any] | None


AnyMessage = Message | MessageDict
AnyTool = Tool | ToolDict

_ROLES: Mapping[Role, pb.Role.ValueType] = {
    "system": pb.ROLE_SYSTEM,
    "developer": pb.ROLE_DEVELOPER,
    "user": pb.ROLE_USER,
    "assistant": pb.ROLE_ASSISTANT,
    "tool": pb.ROLE_TOOL,
}
_MODES: Mapping[str, pb.ToolChoice.Mode.ValueType] = {
    "auto": pb.ToolChoice.MODE_AUTO,
    "none": pb.ToolChoice.MODE_NONE,
    "required": pb.ToolChoice.MODE_REQUIRED,
}


def message_of(message: AnyMessage) -> Message:
    """Return the typed value. Raises TypeError for a key that no message has."""
    if isinstance(message, Message):
        return message
    fields: dict[str, Any] = dict(message)
    calls = (call if isinstance(call, ToolCall) else ToolCall(**call) for call in fields.pop("tool_calls", ()))
    return Message(**fields, tool_calls=tuple(calls))


def encode_messages(messages: Iterable[AnyMessage]) -> list[pb.ChatMessage]:
    """Return the contract's messages. Raises TypeError or ValueError for what no message can be."""
    return [_encode_message(message_of(message)) for message in messages]


def encode_tools(tools: Iterable[AnyTool]) -> list[pb.Tool]:
    return [_encode_tool(tool if isinstance(tool, Tool) else Tool(**tool)) for tool in tools]


def encode_tool_choice(choice: str) -> pb.ToolChoice:
    """Return the choice for "auto", "none", "required" or the name of the tool that must be called."""
    mode = _MODES.get(choice)
    return pb.ToolChoice(tool_name=choice) if mode is None else pb.ToolChoice(mode=mode)


def _encode_message(message: Message) -> pb.ChatMessage:
    if message.role not in _ROLES:
        raise ValueError(f"no such role: {message.role!r}; use one of {', '.join(_ROLES)}")
    content = [message.content] if isinstance(message.content, str) else message.content
    return pb.ChatMessage(
        role=_ROLES[message.role],
        parts=[_encode_part(part) for part in content if part],
        reasoning=message.reasoning,
        tool_calls=[pb.ToolCall(id=c.id, name=c.name, arguments_json=c.arguments_json) for c in message.tool_calls],
        tool_call_id=message.tool_call_id,
        name=message.name,
    )


def _encode_part(part: str | Image) -> pb.ContentPart:
    if isinstance(part, str):
        return pb.ContentPart(text=part)
    return pb.ContentPart(image=pb.Image(media_type=part.media_type, data=part.data))


def _encode_tool(tool: Tool) -> pb.Tool:
    schema = "" if tool.parameters is None else json.dumps(tool.parameters)
    return pb.Tool(name=tool.name, description=tool.description, parameters_json_schema=schema)
