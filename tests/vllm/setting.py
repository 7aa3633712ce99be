"""What the tests run vLLM with. Imports no vLLM."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.processes import inference_gateway
from serving.engines.vllm.settings import VllmSettings

ENVIRONMENT: Mapping[str, str] = {
    # Nothing is fetched, nothing is reported.
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    # One thread for each engine: there are several, on two cores.
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "WARNING",
}

START_S = 400.0
"""Three processes that import torch each, perhaps on a busy machine."""

MAX_NUM_SEQS = 4
MAX_QUEUED = 12
BLOCK_TOKENS = 32

ENGINE_ARGS: Mapping[str, Any] = {
    # Greedy choices do not depend on what else is in the batch.
    "dtype": "float32",
    # Nothing to compile and to warm up.
    "enforce_eager": True,
    "kv_cache_memory_bytes": 64 * 2**20,
    "block_size": BLOCK_TOKENS,
    "max_num_seqs": MAX_NUM_SEQS,
    "max_num_queued_reqs": MAX_QUEUED,
    # A model without sense would write blanks for ever.
    "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
}


def settings_of(model: Path, **engine_args: Any) -> VllmSettings:
    return VllmSettings(model="tiny", model_path=str(model), engine_args={**ENGINE_ARGS, **engine_args})


def replica_command(model: Path, *arguments: str) -> list[str]:
    engine_args = msgspec.json.encode(ENGINE_ARGS).decode()
    return inference_gateway(
        *("replica", "--engine", "vllm", "--model", "tiny", "--model-path", str(model), "--engine-args", engine_args),
        *("--listen", "127.0.0.1:0", "--metrics-listen", "none", *arguments),
    )
