from abc import ABC, abstractmethod

from vllm.config import VllmConfig
from vllm.v1.metrics.stats import IterationStats, MultiModalCacheStats, SchedulerStats

class StatLoggerBase(ABC):
    @abstractmethod
    def __init__(self, vllm_config: VllmConfig, engine_index: int = 0) -> None: ...
    @abstractmethod
    def record(
        self,
        scheduler_stats: SchedulerStats | None,
        iteration_stats: IterationStats | None,
        mm_cache_stats: MultiModalCacheStats | None = None,
        engine_idx: int = 0,
    ) -> None: ...
    @abstractmethod
    def log_engine_initialized(self) -> None: ...
