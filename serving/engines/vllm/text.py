"""The model's own tokenizer, with vLLM's own detokenizer: the text is what vLLM itself would send."""

from collections.abc import Sequence

from vllm.sampling_params import SamplingParams
from vllm.tokenizers import TokenizerLike
from vllm.v1.engine import EngineCoreRequest
from vllm.v1.engine.detokenizer import IncrementalDetokenizer

from serving.engine import Decoder, Tokenizer


class ModelTokenizer(Tokenizer):
    def __init__(self, tokenizer: TokenizerLike) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text)

    def decoder(self, prompt_token_ids: Sequence[int], *, skip_special_tokens: bool) -> Decoder:
        request = EngineCoreRequest(
            request_id="",
            prompt_token_ids=list(prompt_token_ids),
            mm_features=None,
            sampling_params=SamplingParams(skip_special_tokens=skip_special_tokens),
            pooling_params=None,
            arrival_time=0.0,
            lora_request=None,
            cache_salt=None,
            data_parallel_rank=None,
        )
        return _Detokenizer(IncrementalDetokenizer.from_new_request(self._tokenizer, request))


class _Detokenizer(Decoder):
    def __init__(self, detokenizer: IncrementalDetokenizer) -> None:
        self._detokenizer = detokenizer

    def decode(self, token_id: int) -> str:
        self._detokenizer.update([token_id], stop_terminated=False)
        return self._detokenizer.get_next_output_text(finished=False, delta=True)

    def flush(self) -> str:
        """As vLLM: a character that is incomplete at the end is left out."""
        return ""
