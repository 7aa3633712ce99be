from collections.abc import Sequence
from typing import Any

from vllm.inputs import TokensInput
from vllm.tokenizers import TokenizerLike

class ChatParams:
    chat_template_kwargs: dict[str, Any]
    def with_defaults(self, default_chat_template_kwargs: dict[str, Any] | None = None) -> ChatParams: ...

class BaseRenderer:
    def get_eos_token_id(self) -> int | None: ...
    def get_tokenizer(self) -> TokenizerLike: ...
    def render_chat(
        self, conversations: Sequence[list[dict[str, Any]]], chat_params: ChatParams
    ) -> tuple[list[Any], list[TokensInput]]: ...
    def validate_token_ids(self, token_ids: Sequence[int], *, parameter: str | None = None) -> None: ...
