from collections.abc import Sequence
from typing import Any

from vllm.config import ModelConfig
from vllm.entrypoints.generate.base.protocol import DeltaMessage
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest, ChatCompletionToolsParam
from vllm.tokenizers import TokenizerLike
from vllm.tool_parsers import ToolParser

class Parser:
    tool_parser_cls: type[ToolParser] | None
    def __init__(
        self,
        tokenizer: TokenizerLike,
        tools: Sequence[ChatCompletionToolsParam] | None = None,
        *,
        model_config: ModelConfig | None = None,
        chat_template_kwargs: dict[str, Any] | None = None,
    ) -> None: ...
    def adjust_request(self, request: ChatCompletionRequest) -> ChatCompletionRequest: ...
    def parse_delta(
        self,
        delta_text: str,
        delta_token_ids: list[int],
        request: ChatCompletionRequest,
        prompt_token_ids: list[int] | None = None,
        *,
        finished: bool,
    ) -> DeltaMessage | None: ...

class DelegatingParser(Parser): ...

class ParserManager:
    @classmethod
    def get_parser(
        cls,
        tool_parser_name: str | None = None,
        reasoning_parser_name: str | None = None,
        enable_auto_tools: bool = False,
        model_name: str | None = None,
        is_harmony: bool = False,
        *,
        tokenizer: TokenizerLike | None = None,
    ) -> type[Parser] | None: ...
