from enum import Enum
from typing import Any

class RequestOutputKind(Enum):
    CUMULATIVE = 0
    DELTA = 1
    FINAL_ONLY = 2

class StructuredOutputsParams:
    json: str | dict[str, Any] | None
    regex: str | None
    choice: list[str] | None
    grammar: str | None
    structural_tag: str | None
    def __init__(self, **form: Any) -> None: ...

class SamplingParams:
    n: int
    temperature: float
    top_p: float
    top_k: int
    min_p: float
    presence_penalty: float
    frequency_penalty: float
    repetition_penalty: float
    seed: int | None
    max_tokens: int | None
    min_tokens: int
    stop_token_ids: list[int] | None
    ignore_eos: bool
    logprobs: int | None
    logit_bias: dict[int, float] | None
    structured_outputs: StructuredOutputsParams | None
    skip_special_tokens: bool
    detokenize: bool
    output_kind: RequestOutputKind
    skip_clone: bool
    def __init__(
        self,
        *,
        n: int = 1,
        temperature: float = 1.0,
        top_p: float = 1.0,
        top_k: int = 0,
        min_p: float = 0.0,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        repetition_penalty: float = 1.0,
        seed: int | None = None,
        max_tokens: int | None = 16,
        min_tokens: int = 0,
        stop: list[str] | None = None,
        stop_token_ids: list[int] | None = None,
        ignore_eos: bool = False,
        logprobs: int | None = None,
        logit_bias: dict[int, float] | None = None,
        structured_outputs: StructuredOutputsParams | None = None,
        skip_special_tokens: bool = True,
        include_stop_str_in_output: bool = False,
        detokenize: bool = True,
        output_kind: RequestOutputKind = ...,
        skip_clone: bool = False,
    ) -> None: ...
