"""vLLM's AsyncLLM as an Engine. Each choice is a request of its own in vLLM, so that a continued one goes on from its
own tokens; vLLM does the same with the choices of a request, and its prefix cache computes their prompt once."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager

from vllm.exceptions import GracefulHTTPError, VLLMClientError
from vllm.inputs import tokens_input
from vllm.lora.request import LoRARequest
from vllm.pooling_params import PoolingParams
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.engine.output_processor import RequestOutputCollector

from serving.engine import (
    ChatFormat,
    EngineDead,
    EngineLoad,
    EngineModel,
    EngineOverloaded,
    Generation,
    Sampling,
    TokenDelta,
    Tokenizer,
    UnsupportedField,
)
from serving.engines.vllm import sampling
from serving.engines.vllm.chat import ModelChat, find_parser
from serving.engines.vllm.choices import ChoiceRequest, Outputs, choice_requests, delta_of
from serving.engines.vllm.launch import launch
from serving.engines.vllm.load import SchedulerLoads
from serving.engines.vllm.settings import VllmSettings, engine_arguments, lora_folders
from serving.engines.vllm.text import ModelTokenizer

SHUTDOWN_S = 8.0
"""vLLM's worker may take 4 until it is killed, and processes that are killed leave shared memory behind."""


async def create(settings: VllmSettings) -> "VllmEngine":
    """Return an engine on the running loop. Raises ValueError for settings that cannot be, in a line that says which,
    and EngineDead where vLLM does not start."""
    folders = lora_folders(settings)
    find_parser(settings)  # before minutes of loading
    loads = SchedulerLoads()
    llm = await launch(engine_arguments(settings), loads)
    try:
        tasks = frozenset[str](await llm.get_supported_tasks())
        return VllmEngine(llm, loads, settings, tasks, folders)
    except BaseException:
        llm.shutdown()
        raise


class VllmEngine:
    """The Engine that `create` returns."""

    model: EngineModel
    tokenizer: Tokenizer
    chat: ChatFormat

    def __init__(
        self, llm: AsyncLLM, loads: SchedulerLoads, settings: VllmSettings, tasks: frozenset[str], loras: dict[str, str]
    ) -> None:
        config = llm.vllm_config
        self.model = EngineModel(
            name=settings.model,
            context_tokens=config.model_config.max_model_len,
            kv_cache_tokens=config.cache_config.kv_cache_size_tokens or 0,
            lora_names=tuple(loras),
            can_embed="embed" in tasks,
            eos_token_ids=_eos_token_ids(llm),
        )
        self.tokenizer = ModelTokenizer(llm.renderer.get_tokenizer())
        self.chat = ModelChat(llm.renderer, config.model_config, settings)
        self._llm = llm
        self._loads = loads
        self._can_generate = "generate" in tasks
        self._has_priorities = config.scheduler_config.policy == "priority"
        self._loras = {name: LoRARequest(name, 1 + i, folder) for i, (name, folder) in enumerate(loras.items())}

    def __repr__(self) -> str:
        return f"<VllmEngine {self.model.name}>"

    async def generate(self, generation: Generation) -> AsyncGenerator[TokenDelta, None]:
        self._check(generation)
        requests = choice_requests(generation)
        async with self._running(generation, requests) as outputs:
            cached_tokens: int | None = None
            while taken := await outputs.take():
                for index, output in taken:
                    if cached_tokens is None:
                        cached_tokens = output.num_cached_tokens or 0
                    yield delta_of(index, output.outputs[0], generation.sampling, cached_tokens)

    def continues_exactly(self, generation: Generation) -> bool:
        """See `sampling.continues_exactly`. The batch has its influence on rounding, which no engine promises away."""
        return not any(generation.sent.values()) or sampling.continues_exactly(generation.sampling)

    async def embed(self, request_id: str, token_ids: Sequence[int], dimensions: int | None) -> list[float]:
        if not self.model.can_embed:
            raise UnsupportedField("model", f"{self.model.name!r} makes no embeddings")
        params = PoolingParams(task="embed", dimensions=dimensions)
        try:
            async with aclosing(self._llm.encode(tokens_input(list(token_ids)), params, request_id)) as outputs:
                return [output.outputs.data.tolist() async for output in outputs][-1]
        except EngineDeadError as error:
            raise EngineDead(str(error)) from error
        except GracefulHTTPError as error:
            raise EngineOverloaded(error.message) from None
        except VLLMClientError as error:
            raise UnsupportedField("inputs" if dimensions is None else "dimensions", str(error)) from None

    def load(self) -> EngineLoad:
        if self._llm.errored:
            raise EngineDead("vLLM's engine process has ended")
        return self._loads.total(self._llm.get_num_queued_tokens())

    async def close(self) -> None:
        await asyncio.to_thread(self._llm.shutdown, timeout=SHUTDOWN_S)

    def _check(self, generation: Generation) -> None:
        if not self._can_generate:
            raise UnsupportedField("model", f"{self.model.name!r} generates nothing")
        if generation.priority and not self._has_priorities:
            raise UnsupportedField("priority", "this replica's scheduling_policy is not priority")
        if generation.lora_name and generation.lora_name not in self._loras:
            raise UnsupportedField("lora_name", f"no adapter is called {generation.lora_name!r}")

    @asynccontextmanager
    async def _running(
        self, generation: Generation, requests: Sequence[ChoiceRequest]
    ) -> AsyncGenerator[Outputs, None]:
        """Submit requests; abort what is left of them at the end."""
        outputs = Outputs()
        try:
            for request in requests:
                outputs.add(request.index, await self._submit(generation, request))
            yield outputs
        except EngineDeadError as error:
            raise EngineDead(str(error)) from error
        finally:
            # By our names for them: a submission that was interrupted has returned no collector.
            left = [request.request_id for request in requests if not outputs.has_ended(request.index)]
            if left:
                await self._llm.abort(left)

    async def _submit(self, generation: Generation, request: ChoiceRequest) -> RequestOutputCollector:
        try:
            return await self._llm.add_request(
                request.request_id,
                tokens_input(request.token_ids, cache_salt=generation.cache_salt or None),
                request.params,
                lora_request=self._loras.get(generation.lora_name),
                priority=generation.priority,
            )
        except GracefulHTTPError as error:
            raise EngineOverloaded(error.message) from None
        except (VLLMClientError, ValueError) as error:
            raise self._refused(error, generation.sampling, request) from None

    def _refused(self, error: Exception, asked: Sampling, request: ChoiceRequest) -> UnsupportedField:
        try:
            self._llm.renderer.validate_token_ids(request.token_ids, parameter="prompt")
        except VLLMClientError as prompt_error:
            error = prompt_error
        return sampling.refused(error, asked, "prompt")


def _eos_token_ids(llm: AsyncLLM) -> frozenset[int]:
    """The tokenizer's, and those of the model's generation_config.json: as vLLM's input processor."""
    further = llm.model_config.try_get_generation_config().get("eos_token_id") or ()
    ids = {llm.renderer.get_eos_token_id(), *([further] if isinstance(further, int) else further)}
    return frozenset(token_id for token_id in ids if token_id is not None)
