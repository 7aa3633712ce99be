from collections.abc import Sequence

from vllm.logprobs import Logprob

class _Tensor:  # torch's
    def tolist(self) -> list[float]: ...

class CompletionOutput:
    index: int
    text: str
    token_ids: Sequence[int]
    logprobs: list[dict[int, Logprob]] | None
    finish_reason: str | None
    stop_reason: int | str | None

class PoolingOutput:
    data: _Tensor

class RequestOutput:
    outputs: list[CompletionOutput]
    finished: bool
    num_cached_tokens: int | None

class PoolingRequestOutput:
    outputs: PoolingOutput
    finished: bool
