"""What `make demo` shows, with simulated engines and with real ones."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cluster import Plan as ClusterPlan
from benchmarks.demo.workload import Plan
from benchmarks.processes import inference_gateway

_ROOT = Path(__file__).parents[2]
_VLLM = _ROOT / ".venv-vllm"

_VLLM_ENGINE = "{dtype: float32, enforce_eager: true, max_model_len: 1024, gpu_memory_utilization: 0.3}"
_VLLM_ENVIRONMENT = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB where there is no GPU; a tiny model needs little
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # else every replica takes the same cores
    "VLLM_LOGGING_LEVEL": "WARNING",
}


@dataclass(frozen=True, slots=True)
class Setup:
    title: str
    cluster: ClusterPlan
    workload: Plan
    longest_s: float
    """From the first request; then the demo is ended, done or not."""


def simulated() -> Setup:
    return Setup(
        "inference-gateway: 3 simulated replicas (Llama-3.1-8B on H100), policy least_connection",
        ClusterPlan(replicas=3, model="llama-3.1-8b"),
        Plan(),
        longest_s=120.0,
    )


def vllm() -> Setup:
    """Two replicas of a tiny model with random weights, made here."""
    model = _VLLM / "tiny-model"
    subprocess.run([sys.executable, str(_ROOT / "scripts" / "tiny_model.py"), str(model)], check=True)
    return Setup(
        "inference-gateway: 2 vLLM replicas (a tiny model), policy least_connection",
        ClusterPlan(
            replicas=2,
            model="tiny",
            replica_command=inference_gateway("replica", environment=_VLLM),
            engine_arguments=("--engine", "vllm", "--model-path", str(model), "--engine-args", _VLLM_ENGINE),
            environment=_VLLM_ENVIRONMENT,
            ready_timeout_s=600.0,
        ),
        # Slow enough for the killed replica, which takes half a minute to load, to come back and work.
        Plan(conversations=24, at_once=6, turns=4, answer_tokens=(30, 50), think_s=1.5),
        longest_s=600.0,
    )


SETUPS: Mapping[str, Callable[[], Setup]] = {"simulated": simulated, "vllm": vllm}
