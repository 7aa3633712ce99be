"""Models on GPUs, as numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

from serving.engines.simulated.scheduler import Limits
from serving.engines.simulated.step_time import StepTime


@dataclass(frozen=True, slots=True)
class Profile:
    limits: Limits
    step_time: StepTime
    context_tokens: int


# 29,205 blocks of 16 tokens: what vLLM 0.8.4 leaves of 80 GB beside this model (inference-sim's measurements).
_KV_CACHE_TOKENS = 29_205 * 16
# inference-sim's estimate for an HTTP server around vLLM; one of the few parts of TTFT that load does not change.
_INGEST_S = 0.015

LLAMA_3_1_8B_H100 = Profile(
    Limits(
        kv_cache_tokens=_KV_CACHE_TOKENS,
        max_num_seqs=1024,
        max_num_batched_tokens=8192,
        ingest_s=_INGEST_S,
    ),
    StepTime(fixed_s=6.54e-3, per_decoding_s=0.0, per_context_token_s=48.9e-9, per_prefill_token_s=20.2e-6),
    context_tokens=131_072,
)
"""Llama-3.1-8B, bfloat16, one H100 SXM. Step time fitted to 42 measured closed loops (`calibration`); limits are vLLM's
defaults for its OpenAI server on that card."""

LLAMA_3_1_8B_A100 = Profile(
    Limits(
        kv_cache_tokens=_KV_CACHE_TOKENS,
        max_num_seqs=256,
        max_num_batched_tokens=2048,
        ingest_s=_INGEST_S,
    ),
    StepTime(fixed_s=10.4e-3, per_decoding_s=27e-6, per_context_token_s=80e-9, per_prefill_token_s=66e-6),
    context_tokens=131_072,
)
"""Llama-3.1-8B, bfloat16, one A100 SXM 80 GB. Derived, not measured as a whole: microsoft/vidur's profile of the
linear layers (9.7 ms for one token, 27 us for each sequence more, 66 us for each token of prefill), 0.7 ms to read the
output matrix, and for a token of context the H100's time by memory bandwidth (3.35 to 2.04 TB/s)."""

PROFILES: Mapping[str, Profile] = {
    "llama-3.1-8b-h100": LLAMA_3_1_8B_H100,
    "llama-3.1-8b-a100": LLAMA_3_1_8B_A100,
}
