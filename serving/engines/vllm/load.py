"""How busy vLLM is. It says so after each step, in the process of the replica: no question, no scrape."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from vllm.config import VllmConfig
from vllm.v1.metrics.loggers import StatLoggerBase
from vllm.v1.metrics.stats import IterationStats, MultiModalCacheStats, SchedulerStats

from serving.engine import EngineLoad


@dataclass(slots=True)
class LastStep:
    """What the scheduler of one vLLM engine said last. An idle engine makes no steps: the last one left nothing."""

    waiting: int = 0
    running: int = 0
    kv_cache_usage: float = 0.0


@dataclass(slots=True)
class SchedulerLoads:
    """Of all engines of one AsyncLLM: one, unless it is data parallel."""

    steps: list[LastStep] = field(default_factory=list[LastStep])

    def new_logger(self, config: VllmConfig, engine_index: int = 0) -> StatLoggerBase:
        """vLLM's StatLoggerFactory."""
        step = LastStep()
        self.steps.append(step)
        return _StepLogger(config, engine_index, step)

    def total(self, prefilling_tokens: int) -> EngineLoad:
        """Return the load. `prefilling_tokens`, the prompt tokens of requests without a first token, stand for those
        that wait: vLLM tells no sooner how many were cached, so that they are an upper bound."""
        return EngineLoad(
            queue_depth=sum(step.waiting for step in self.steps),
            running_requests=sum(step.running for step in self.steps),
            kv_cache_utilization=_mean([step.kv_cache_usage for step in self.steps]),
            uncached_waiting_tokens=prefilling_tokens,
        )


class _StepLogger(StatLoggerBase):
    def __init__(self, vllm_config: VllmConfig, engine_index: int = 0, step: LastStep | None = None) -> None:
        self._step = step or LastStep()

    def record(
        self,
        scheduler_stats: SchedulerStats | None,
        iteration_stats: IterationStats | None,
        mm_cache_stats: MultiModalCacheStats | None = None,
        engine_idx: int = 0,
    ) -> None:
        if scheduler_stats is None:
            return
        self._step.waiting = scheduler_stats.num_waiting_reqs + scheduler_stats.num_skipped_waiting_reqs
        self._step.running = scheduler_stats.num_running_reqs
        self._step.kv_cache_usage = scheduler_stats.kv_cache_usage

    def log_engine_initialized(self) -> None:
        pass


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
