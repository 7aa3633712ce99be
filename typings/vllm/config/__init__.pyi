from typing import Any

class CacheConfig:
    kv_cache_size_tokens: int | None

class _HfConfig:
    model_type: str

class ModelConfig:
    hf_config: _HfConfig
    max_model_len: int
    model: str
    def try_get_generation_config(self) -> dict[str, Any]: ...

class SchedulerConfig:
    policy: str

class VllmConfig:
    cache_config: CacheConfig
    model_config: ModelConfig
    scheduler_config: SchedulerConfig
