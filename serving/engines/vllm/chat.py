"""Conversations as vLLM's own server takes them: the model's chat template, and vLLM's parsers for what it answers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from vllm.config import ModelConfig
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.exceptions import VLLMClientError
from vllm.parser import DelegatingParser, Parser, ParserManager
from vllm.renderers import BaseRenderer
from vllm.tokenizers import TokenizerLike
from vllm.tool_parsers import ToolParser
from vllm.utils.mistral import is_mistral_tokenizer

from inference.v1 import inference_pb2 as pb
from serving.engine import ChatFormat, ChatParser, UnsupportedField
from serving.engines.vllm.conversation import conversation, tool_choice, tools_of
from serving.engines.vllm.parsing import ParsedText, PlainText
from serving.engines.vllm.sampling import demanded
from serving.engines.vllm.settings import VllmSettings

RESERVED_ARGUMENTS = frozenset(
    ("chat_template", "conversation", "max_length", "messages", "padding", "return_dict", "tokenize", "tools")
)
"""Arguments of the template's caller, not of the template."""


class ModelChat(ChatFormat):
    """Text only: images would need more of a prompt than its ids."""

    def __init__(self, renderer: BaseRenderer, model_config: ModelConfig, settings: VllmSettings) -> None:
        """Raises ValueError as `find_parser`."""
        self._renderer = renderer
        self._tokenizer = renderer.get_tokenizer()
        self._model_config = model_config
        self._has_tool_parser = bool(settings.tool_parser)
        self._has_parser = bool(settings.tool_parser or settings.reasoning_parser)
        self._parser_class = find_parser(settings, model_config, self._tokenizer)

    def render(
        self, messages: Sequence[pb.ChatMessage], tools: Sequence[pb.Tool], template_arguments_json: str
    ) -> list[int]:
        request = _openai_request(messages, tools, "none", template_arguments_json)
        params = request.build_chat_params(None, "auto").with_defaults(
            {
                "tools": [tool.model_dump() for tool in request.tools] if request.tools else None,
                "tokenize": is_mistral_tokenizer(self._tokenizer),
            }
        )
        try:
            _, (prompt,) = self._renderer.render_chat([request.messages], params)
        except (VLLMClientError, ValueError) as error:
            raise UnsupportedField("messages", str(error)) from None
        return prompt["prompt_token_ids"]

    def parser(self, request: pb.ChatRequest, prompt_token_ids: Sequence[int]) -> ChatParser:
        if not self._needs_parser(request):
            return PlainText()
        openai_request = self._adjusted(request)
        return ParsedText(self._new_parser(openai_request), openai_request, list(prompt_token_ids))

    def constrain(self, request: pb.ChatRequest) -> tuple[str, str | tuple[str, ...]] | None:
        if not self._needs_parser(request):
            return None
        structured_outputs = self._adjusted(request).structured_outputs
        return None if structured_outputs is None else demanded(structured_outputs)

    def needs_special_tokens(self, request: pb.ChatRequest) -> bool:
        return self._needs_parser(request) and not self._adjusted(request).skip_special_tokens

    def _needs_parser(self, request: pb.ChatRequest) -> bool:
        choice = tool_choice(request)
        if choice == "auto" and not self._has_tool_parser:
            raise UnsupportedField("tools", "this replica has no tool parser: tool_choice can only be none or a demand")
        return self._has_parser or choice != "none"

    def _adjusted(self, request: pb.ChatRequest) -> ChatCompletionRequest:
        """Return the request as vLLM's parsers want it: with a grammar, with special tokens."""
        openai_request = _openai_request(
            request.messages, request.tools, tool_choice(request), request.template_arguments_json
        )
        return self._new_parser(openai_request).adjust_request(openai_request)

    def _new_parser(self, request: ChatCompletionRequest) -> Parser:
        return self._parser_class(
            self._tokenizer,
            request.tools,
            model_config=self._model_config,
            chat_template_kwargs=request.build_chat_params(None, "auto").chat_template_kwargs,
        )


def find_parser(
    settings: VllmSettings, model_config: ModelConfig | None = None, tokenizer: TokenizerLike | None = None
) -> type[Parser]:
    """Raises ValueError for parsers that vLLM does not have, or that do not suit the tokenizer, if one is given."""
    try:
        found = ParserManager.get_parser(
            tool_parser_name=settings.tool_parser or None,
            reasoning_parser_name=settings.reasoning_parser or None,
            enable_auto_tools=bool(settings.tool_parser),
            model_name=settings.model_path or settings.model,
            is_harmony=model_config is not None and model_config.hf_config.model_type == "gpt_oss",
            tokenizer=tokenizer,
        )
    except TypeError as error:
        raise ValueError(f"tool_parser, reasoning_parser: {error}") from error
    chosen = found or DelegatingParser
    return chosen if chosen.tool_parser_cls is not None else _with_json_calls(chosen)


def _with_json_calls(chosen: type[Parser]) -> type[Parser]:
    """The calls that `tool_choice` demands are plain JSON, which vLLM's base class reads for every model."""

    class WithJsonCalls(chosen):
        tool_parser_cls = ToolParser

    return WithJsonCalls


def _openai_request(
    messages: Sequence[pb.ChatMessage],
    tools: Sequence[pb.Tool],
    choice: str | Mapping[str, Any],
    template_arguments_json: str,
) -> ChatCompletionRequest:
    arguments = json.loads(template_arguments_json or "{}")
    reserved = RESERVED_ARGUMENTS.intersection(arguments)
    if reserved:
        raise UnsupportedField("template_arguments_json", f"{min(reserved)} is not for the template")
    openai_messages, openai_tools = conversation(messages), tools_of(tools)
    try:
        return ChatCompletionRequest(
            messages=openai_messages,
            tools=openai_tools or None,
            tool_choice=choice,
            chat_template_kwargs=arguments,
        )
    except (VLLMClientError, ValueError) as error:
        raise UnsupportedField("messages", str(error)) from None
