"""How the simulated model takes part in conversations: a fixed template, and tags for thoughts and calls of tools.

    BEGIN  [SYSTEM tools END]  (role text END)*  ASSISTANT [THINK]

What it says has the same ids when it comes back in the next prompt, so that a conversation is found in the cache.
"""

import json
from collections.abc import Sequence
from hashlib import blake2b

from inference.v1 import inference_pb2 as pb
from serving.engine import UnsupportedField
from serving.engines.simulated.parser import SimulatedParser
from serving.engines.simulated.schema import UnsupportedSchema, example
from serving.engines.simulated.tokens import Special, as_bytes, encode

_ROLES: dict[pb.Role.ValueType, Special] = {
    pb.ROLE_SYSTEM: Special.SYSTEM,
    pb.ROLE_USER: Special.USER,
    pb.ROLE_ASSISTANT: Special.ASSISTANT,
    pb.ROLE_TOOL: Special.TOOL,
    pb.ROLE_DEVELOPER: Special.DEVELOPER,
}


class SimulatedChat:
    def render(
        self, messages: Sequence[pb.ChatMessage], tools: Sequence[pb.Tool], template_arguments_json: str
    ) -> list[int]:
        thinks = _enable_thinking(template_arguments_json)
        ids: list[int] = [Special.BEGIN]
        if tools:
            ids += [Special.SYSTEM, *encode("\n".join(_declaration(tool) for tool in tools)), Special.END]
        for message in messages:
            ids += _turn(message)
        ids.append(Special.ASSISTANT)
        return [*ids, Special.THINK] if thinks else ids

    def parser(self, request: pb.ChatRequest, prompt_token_ids: Sequence[int]) -> SimulatedParser:
        call_id = blake2b(as_bytes(prompt_token_ids), digest_size=8).hexdigest() if request.tools else ""
        return SimulatedParser(call_id)

    def constrain(self, request: pb.ChatRequest) -> tuple[str, str | tuple[str, ...]] | None:
        """Where a tool must be called, one of the calls that its schema allows; else the model only writes words."""
        choice = request.tool_choice
        if choice.WhichOneof("choice") == "tool_name":
            tools = [tool for tool in request.tools if tool.name == choice.tool_name]
        elif choice.mode == pb.ToolChoice.MODE_REQUIRED:
            tools = list(request.tools)
        else:
            return None
        if not tools:
            raise UnsupportedField("tool_choice", "demands a tool that is not among tools")
        return "choice", tuple(_call(tool.name, _arguments(tool)) for tool in tools)

    def needs_special_tokens(self, request: pb.ChatRequest) -> bool:
        return False


def _turn(message: pb.ChatMessage) -> list[int]:
    if message.role not in _ROLES:
        raise UnsupportedField("messages.role", "not set")
    if any(part.WhichOneof("part") != "text" for part in message.parts):
        raise UnsupportedField("messages.parts.image", "the simulated model sees text only")
    ids: list[int] = [_ROLES[message.role]]
    if message.reasoning:
        ids += [Special.THINK, *encode(f"<think>{message.reasoning}</think>")]
    # One text, as the model wrote it; a name stands where real templates put it.
    heading = [name for name in (message.name, message.tool_call_id) if name]
    ids += encode("".join(f"{name}\n" for name in heading))
    ids += encode("".join(part.text for part in message.parts))
    for call in message.tool_calls:
        ids += encode(_call(call.name, call.arguments_json))
    return [*ids, Special.END]


def _declaration(tool: pb.Tool) -> str:
    return f"{tool.name}: {tool.description}\n{tool.parameters_json_schema}"


def _call(name: str, arguments_json: str) -> str:
    return f'<tool_call>{{"name": {json.dumps(name)}, "arguments": {arguments_json}}}</tool_call>'


def _arguments(tool: pb.Tool) -> str:
    try:
        return example(tool.parameters_json_schema)
    except UnsupportedSchema as error:
        message = f"of {tool.name!r}: not with the simulated engine: {error}"
        raise UnsupportedField("tools.parameters_json_schema", message) from None


def _enable_thinking(template_arguments_json: str) -> bool:
    field = "template_arguments_json"
    try:
        arguments: object = json.loads(template_arguments_json or "{}")
    except ValueError:
        raise UnsupportedField(field, "not JSON") from None
    if arguments in ({}, {"enable_thinking": False}):
        return False
    if arguments == {"enable_thinking": True}:
        return True
    raise UnsupportedField(field, "the simulated template knows enable_thinking, true or false, and nothing else")
