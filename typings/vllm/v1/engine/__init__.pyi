from vllm.lora.request import LoRARequest
from vllm.pooling_params import PoolingParams
from vllm.sampling_params import SamplingParams

class EngineCoreRequest:
    def __init__(
        self,
        *,
        request_id: str,
        prompt_token_ids: list[int] | None,
        mm_features: None,
        sampling_params: SamplingParams | None,
        pooling_params: PoolingParams | None,
        arrival_time: float,
        lora_request: LoRARequest | None,
        cache_salt: str | None,
        data_parallel_rank: int | None,
    ) -> None: ...
