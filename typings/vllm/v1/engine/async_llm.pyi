from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Self

from vllm.config import ModelConfig, VllmConfig
from vllm.inputs import TokensInput
from vllm.lora.request import LoRARequest
from vllm.outputs import PoolingRequestOutput, RequestOutput
from vllm.pooling_params import PoolingParams
from vllm.renderers import BaseRenderer
from vllm.sampling_params import SamplingParams
from vllm.usage.usage_lib import UsageContext
from vllm.v1.engine.output_processor import RequestOutputCollector
from vllm.v1.metrics.loggers import StatLoggerBase

class AsyncLLM:
    vllm_config: VllmConfig
    model_config: ModelConfig
    renderer: BaseRenderer
    @classmethod
    def from_vllm_config(
        cls,
        vllm_config: VllmConfig,
        *,
        usage_context: UsageContext = ...,
        stat_loggers: list[Callable[[VllmConfig, int], StatLoggerBase]] | None = None,
        enable_log_requests: bool = False,
        disable_log_stats: bool = False,
    ) -> Self: ...
    def __del__(self) -> None: ...
    @property
    def errored(self) -> bool: ...
    def shutdown(self, timeout: float | None = None) -> None: ...
    def get_num_queued_tokens(self) -> int: ...
    async def get_supported_tasks(self) -> tuple[str, ...]: ...
    async def add_request(
        self,
        request_id: str,
        prompt: TokensInput,
        params: SamplingParams | PoolingParams,
        *,
        lora_request: LoRARequest | None = None,
        priority: int = 0,
    ) -> RequestOutputCollector: ...
    async def abort(self, request_id: str | Iterable[str], internal: bool = False) -> None: ...
    def generate(
        self, prompt: TokensInput, sampling_params: SamplingParams, request_id: str
    ) -> AsyncGenerator[RequestOutput]: ...
    def encode(
        self, prompt: TokensInput, pooling_params: PoolingParams, request_id: str
    ) -> AsyncGenerator[PoolingRequestOutput]: ...
