"""Messages and tools of the contract in the form of OpenAI's API, which vLLM and chat templates take."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from inference.v1 import inference_pb2 as pb
from serving.engine import UnsupportedField

_ROLES: Mapping[pb.Role.ValueType, str] = {
    pb.ROLE_SYSTEM: "system",
    pb.ROLE_USER: "user",
    pb.ROLE_ASSISTANT: "assistant",
    pb.ROLE_TOOL: "tool",
    pb.ROLE_DEVELOPER: "developer",
}


def conversation(messages: Sequence[pb.ChatMessage]) -> list[dict[str, Any]]:
    """Raises UnsupportedField."""
    return [_message(position, message) for position, message in enumerate(messages)]


def tools_of(tools: Sequence[pb.Tool]) -> list[dict[str, Any]]:
    """Raises UnsupportedField."""
    return [_tool(position, tool) for position, tool in enumerate(tools)]


def tool_choice(request: pb.ChatRequest) -> str | dict[str, Any]:
    choice = request.tool_choice
    if choice.tool_name:
        return {"type": "function", "function": {"name": choice.tool_name}}
    if choice.mode == pb.ToolChoice.MODE_REQUIRED:
        return "required"
    return "auto" if request.tools and choice.mode != pb.ToolChoice.MODE_NONE else "none"


def _message(position: int, message: pb.ChatMessage) -> dict[str, Any]:
    if message.role not in _ROLES:
        raise UnsupportedField(f"messages[{position}].role", f"{message.role} is no role")
    optional = {
        "name": message.name,
        "reasoning": message.reasoning,
        "tool_call_id": message.tool_call_id,
        "tool_calls": [_tool_call(call) for call in message.tool_calls],
    }
    return {
        "role": _ROLES[message.role],
        "content": _content(position, message),
        **{name: value for name, value in optional.items() if value},
    }


def _content(position: int, message: pb.ChatMessage) -> str | list[dict[str, str]]:
    if any(part.HasField("image") for part in message.parts):
        raise UnsupportedField(f"messages[{position}].parts.image", "this engine takes text only")
    if len(message.parts) == 1:
        return message.parts[0].text
    return [{"type": "text", "text": part.text} for part in message.parts] or ""


def _tool_call(call: pb.ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments_json}}


def _tool(position: int, tool: pb.Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description:
        function["description"] = tool.description
    if tool.parameters_json_schema:
        function["parameters"] = _schema(position, tool.parameters_json_schema)
    return {"type": "function", "function": function}


def _schema(position: int, text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        field_name = f"tools[{position}].parameters_json_schema"
        raise UnsupportedField(field_name, f"not a JSON object: {error}") from None
