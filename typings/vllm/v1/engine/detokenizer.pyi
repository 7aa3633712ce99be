from typing import Self

from vllm.tokenizers import TokenizerLike
from vllm.v1.engine import EngineCoreRequest

class IncrementalDetokenizer:
    @classmethod
    def from_new_request(cls, tokenizer: TokenizerLike | None, request: EngineCoreRequest) -> Self: ...
    def update(self, new_token_ids: list[int], stop_terminated: bool) -> str | None: ...
    def get_next_output_text(self, finished: bool, delta: bool) -> str: ...
