from collections.abc import Mapping
from typing import Any

from vllm.renderers import ChatParams
from vllm.sampling_params import StructuredOutputsParams

class ChatCompletionToolsParam:
    def model_dump(self) -> dict[str, Any]: ...

class ChatCompletionRequest:
    messages: list[dict[str, Any]]
    tools: list[ChatCompletionToolsParam] | None
    structured_outputs: StructuredOutputsParams | None
    skip_special_tokens: bool
    def __init__(
        self,
        *,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]] | None,
        tool_choice: str | Mapping[str, Any],
        chat_template_kwargs: dict[str, Any],
    ) -> None: ...
    def build_chat_params(self, default_template: str | None, default_template_content_format: str) -> ChatParams: ...
