"""The requests that a generation is for vLLM, one for each choice, and what comes of them."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from vllm.logprobs import Logprob
from vllm.outputs import CompletionOutput, RequestOutput
from vllm.sampling_params import SamplingParams
from vllm.v1.engine.output_processor import RequestOutputCollector

from serving.engine import ContinuationImpossible, Ended, Generation, Sampling, TokenDelta, TokenLogprobs
from serving.engines.vllm.sampling import sampling_params


@dataclass(frozen=True, slots=True)
class ChoiceRequest:
    index: int
    request_id: str
    token_ids: list[int]
    """The prompt, and what was sent of the choice."""
    params: SamplingParams


def choice_requests(generation: Generation) -> list[ChoiceRequest]:
    """Raises UnsupportedField, ContinuationImpossible."""
    indexes = [index for index in range(generation.sampling.n) if index not in generation.finished]
    sent = {index: generation.sent.get(index, ()) for index in indexes}
    if generation.sampling.structured_output is not None and any(sent.values()):
        raise ContinuationImpossible("vLLM begins a grammar with the first token that it makes itself")
    return [
        ChoiceRequest(
            index,
            f"{generation.request_id}-{index}",
            [*generation.prompt_token_ids, *sent[index]],
            sampling_params(generation.sampling, index, len(sent[index])),
        )
        for index in indexes
    ]


class Outputs:
    """What vLLM makes of several requests, waited for without a task for each.

    vLLM keeps one output for each request, and merges into it what nobody has taken yet.
    """

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self._open: dict[int, RequestOutputCollector] = {}
        self._ended: set[int] = set()

    def add(self, index: int, collector: RequestOutputCollector) -> None:
        self._open[index] = collector
        # vLLM sets this event when it has put something in; it may have done so already.
        collector.ready = self._news
        self._news.set()

    def has_ended(self, index: int) -> bool:
        return index in self._ended

    async def take(self) -> list[tuple[int, RequestOutput]]:
        """Return what is new, after waiting for it; nothing when all requests have ended. Raises what vLLM raises."""
        taken: list[tuple[int, RequestOutput]] = []
        while self._open and not taken:
            await self._news.wait()
            self._news.clear()
            # Each look clears the event, so there must be no suspension before the last one.
            looked = [(index, collector.get_nowait()) for index, collector in self._open.items()]
            taken = [(index, output) for index, output in looked if isinstance(output, RequestOutput)]
        for index, output in taken:
            if output.finished:
                del self._open[index]
                self._ended.add(index)
        return taken


def delta_of(index: int, output: CompletionOutput, sampling: Sampling, cached_tokens: int) -> TokenDelta:
    """Raises RuntimeError where vLLM ended the request by a defect."""
    stop_reason = output.stop_reason
    return TokenDelta(
        index=index,
        token_ids=output.token_ids,
        logprobs=_logprobs(output, sampling.logprobs),
        ended=None if output.finish_reason is None else _ended(output.finish_reason),
        # It also says which of the model's further end-of-sequence ids it was.
        stop_token_id=stop_reason if isinstance(stop_reason, int) and stop_reason in sampling.stop_token_ids else None,
        cached_tokens=cached_tokens,
    )


def _ended(finish_reason: str) -> Ended:
    try:
        return Ended(finish_reason)
    except ValueError:
        raise RuntimeError(f"vLLM ended a request by {finish_reason!r}") from None


def _logprobs(output: CompletionOutput, alternatives: int | None) -> Sequence[TokenLogprobs]:
    if alternatives is None or output.logprobs is None:
        return ()
    positions = zip(output.token_ids, output.logprobs, strict=False)
    return [_token_logprobs(token_id, position, alternatives) for token_id, position in positions]


def _token_logprobs(token_id: int, position: dict[int, Logprob], alternatives: int) -> TokenLogprobs:
    # The sampled token stands there whatever its rank.
    ranked = sorted((entry.rank or 0, other, entry.logprob) for other, entry in position.items())
    best = tuple((other, logprob) for rank, other, logprob in ranked if rank <= alternatives)
    return TokenLogprobs(position[token_id].logprob, best)
