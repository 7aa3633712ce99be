from dataclasses import dataclass
from typing import Any

from vllm.config import VllmConfig
from vllm.usage.usage_lib import UsageContext

@dataclass
class AsyncEngineArgs:
    model: str = ...
    def __init__(self, **arguments: Any) -> None: ...
    def create_engine_config(self, usage_context: UsageContext | None = None) -> VllmConfig: ...
