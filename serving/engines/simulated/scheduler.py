"""Continuous batching, one step at a time, as vLLM 0.32 does it (vllm/v1/core/sched/scheduler.py, policy "priority"):

1. Every decoding request computes one token. What they leave of the step's token budget goes first to the one whose
   prompt the last step could not finish: it computes a chunk.
2. Where one of these needs a block and none is free, the last of them all (by priority, then arrival) gives back its
   blocks and waits again. It will compute prompt and output anew, less what is then still in the cache.
3. Waiting requests next, in order of priority and arrival, while there are tokens, places, and blocks for the whole
   prompt. The first that does not fit ends this, and nobody is admitted in a step that preempted.

Pure: time is an argument and what the model says is known beforehand, so it runs in real and in virtual time alike.
What a step makes is written down when the step begins, since nobody decides anything before it ends.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Generic, NamedTuple, TypeVar

from serving.engines.simulated.blocks import BlockPool
from serving.engines.simulated.request import Request, State
from serving.engines.simulated.step_time import Batch, StepTime

R = TypeVar("R", bound=Request)


@dataclass(frozen=True, slots=True)
class Limits:
    """Names and meanings are vLLM's; its watermark is 0 and its scheduler_reserve_full_isl on, both by default."""

    kv_cache_tokens: int
    max_num_seqs: int
    max_num_batched_tokens: int
    block_tokens: int = 16
    ingest_s: float = 0.0
    """From a request's arrival until the scheduler sees it: checks, tokenizing, the way to the engine's process."""

    def __post_init__(self) -> None:
        if not 0 < self.max_num_seqs <= self.max_num_batched_tokens:
            raise ValueError("max_num_seqs must lie between 1 and max_num_batched_tokens")


class Step(NamedTuple, Generic[R]):
    """What one step does. It ends `duration_s` after it began; each request in `produced` has one token more then."""

    duration_s: float
    batch: Batch
    produced: Sequence[R]
    preempted: Sequence[R]


class Scheduler(Generic[R]):
    """Decides what each step computes."""

    def __init__(self, limits: Limits, step_time: StepTime) -> None:
        self._limits = limits
        self._step_time = step_time
        self._pool = BlockPool(limits.kv_cache_tokens // limits.block_tokens)
        self._arrivals = 0
        self._ingesting: deque[R] = deque()
        self._waiting: list[R] = []
        self._uncached_waiting_tokens = 0
        self._prefilling: R | None = None
        self._decoding: list[R] = []
        self._context_tokens = 0

    def __repr__(self) -> str:
        return f"<Scheduler {self.running_requests} running, {self.queue_depth} waiting, {self._pool!r}>"

    @property
    def running_requests(self) -> int:
        return len(self._decoding) + (self._prefilling is not None)

    @property
    def queue_depth(self) -> int:
        return len(self._waiting) + len(self._ingesting)

    @property
    def kv_cache_utilization(self) -> float:
        """Blocks in use, of all; those that only the cache keeps are free."""
        return self._pool.utilization

    @property
    def uncached_waiting_tokens(self) -> int:
        """What those who wait have to compute, by the cache as it was when they began to wait."""
        return self._uncached_waiting_tokens

    def submit(self, request: R, now_s: float) -> None:
        """Take a new request. Raises ValueError where it could never run: the KV cache must hold it alone."""
        if request.prompt_tokens < 1 or request.output_tokens < 1:
            raise ValueError(f"{request!r} needs a token of prompt and one of output")
        if self._blocks_for(request.prompt_tokens + request.output_tokens) > self._pool.size:
            raise ValueError(f"{request!r} does not fit into {self._pool!r}")
        self._arrivals += 1
        request.arrival = self._arrivals
        request.ready_at = now_s + self._limits.ingest_s
        request.state = State.INGESTING
        self._ingesting.append(request)
        self._note_uncached(request)

    def abort(self, request: R) -> None:
        """Forget a request, wherever it is; one that has ended is left as it is."""
        match request.state:
            case State.INGESTING:
                self._ingesting.remove(request)
                self._uncached_waiting_tokens -= request.uncached_tokens
            case State.WAITING:
                self._waiting.remove(request)
                heapify(self._waiting)
                self._uncached_waiting_tokens -= request.uncached_tokens
            case State.PREFILLING | State.DECODING:
                self._stop(request)
            case State.NEW | State.ENDED:
                pass
        request.state = State.ENDED

    def next_step_at(self, now_s: float) -> float | None:
        """When a step can begin: now, or when the next request has been ingested; None while there is none."""
        if self._decoding or self._waiting or self._prefilling:
            return now_s
        return max(now_s, self._ingesting[0].ready_at) if self._ingesting else None

    def step(self, now_s: float) -> Step[R] | None:
        """Begin a step, unless there is nothing to compute. The next may begin when this one has ended."""
        while self._ingesting and self._ingesting[0].ready_at <= now_s:
            self._wait(self._ingesting.popleft())
        preempted: list[R] = []
        self._extend_decoding(preempted)
        prefill_tokens, prefilled = self._prefill(preempted)
        decoding = len(self._decoding)
        if not decoding and not prefill_tokens:
            return None
        self._context_tokens += decoding
        batch = Batch(decoding, self._context_tokens, prefill_tokens)
        for request in prefilled:
            self._begin_decoding(request)
        produced = tuple(self._decoding)
        for request in self._make_tokens(produced):
            self._stop(request)
            request.state = State.ENDED
        return Step(self._step_time.duration_s(batch), batch, produced, preempted)

    def _extend_decoding(self, preempted: list[R]) -> None:
        for request in [request for request in self._decoding if request.made_tokens == request.due_at]:
            # It may have been preempted for one before it.
            if request.state is State.DECODING and self._hold(request, request.total_tokens, preempted):
                self._name_blocks(request)
                self._set_due(request)

    def _prefill(self, preempted: list[R]) -> tuple[int, list[R]]:
        """Compute prompts with what decoding leaves of the budget. Return how many tokens, and who is complete."""
        computed = 0
        complete: list[R] = []
        while left := self._limits.max_num_batched_tokens - len(self._decoding) - computed:
            request = self._prefilling or (None if preempted else self._admit(len(complete)))
            if request is None:
                break
            tokens = min(left, request.total_tokens - request.prefilled_tokens)
            if not self._hold(request, request.prefilled_tokens + tokens, preempted):
                break
            computed += tokens
            request.prefilled_tokens += tokens
            self._name_blocks(request)
            if request.prefilled_tokens == request.total_tokens:
                complete.append(request)
                self._prefilling = None
        return computed, complete

    def _begin_decoding(self, request: R) -> None:
        request.state = State.DECODING
        self._decoding.append(request)
        self._context_tokens += request.total_tokens
        self._set_due(request)

    def _make_tokens(self, requests: Sequence[R]) -> list[R]:
        """Return those that have made their last."""
        ended: list[R] = []
        # The loop that costs most: 256 requests come here 100 times a second.
        for request in requests:
            made_tokens = request.made_tokens = request.made_tokens + 1
            if made_tokens == request.output_tokens:
                ended.append(request)
        return ended

    def _admit(self, others: int) -> R | None:
        """Take the first that waits, if there is a place for it beside decoding requests and so many others."""
        if not self._waiting or len(self._decoding) + others >= self._limits.max_num_seqs:
            return None
        request = self._waiting[0]
        hits = self._find(request)
        needed = self._blocks_for(request.total_tokens) - len(hits) + self._pool.idle_among(hits)
        if needed > self._pool.free:
            return None
        heappop(self._waiting)
        self._uncached_waiting_tokens -= request.uncached_tokens
        self._pool.share(hits)
        request.blocks = hits
        request.named_blocks = len(hits)
        request.prefilled_tokens = len(hits) * self._limits.block_tokens
        if not request.preemptions:
            request.cached_tokens = request.prefilled_tokens
        request.state = State.PREFILLING
        self._prefilling = request
        return request

    def _hold(self, request: R, tokens: int, preempted: list[R]) -> bool:
        """Give a running request the blocks for so many tokens, at the cost of the last. False where it is the last."""
        missing = self._blocks_for(tokens) - len(request.blocks)
        while missing > self._pool.free:
            victim = max(self._decoding if self._prefilling is None else [*self._decoding, self._prefilling])
            self._stop(victim)
            victim.preemptions += 1
            preempted.append(victim)
            self._note_uncached(victim)
            self._wait(victim)
            if victim is request:
                return False
        request.blocks += self._pool.take(missing)
        return True

    def _stop(self, request: R) -> None:
        """Take a running request out of the batch. Its blocks stay in the cache until others need them."""
        self._name_blocks(request)
        self._pool.release(request.blocks)
        if request.state is State.DECODING:
            self._decoding.remove(request)
            self._context_tokens -= request.computed_tokens
        else:
            self._prefilling = None
        request.blocks = []
        request.named_blocks = request.prefilled_tokens = 0

    def _wait(self, request: R) -> None:
        request.state = State.WAITING
        heappush(self._waiting, request)

    def _note_uncached(self, request: R) -> None:
        request.uncached_tokens = request.total_tokens - len(self._find(request)) * self._limits.block_tokens
        self._uncached_waiting_tokens += request.uncached_tokens

    def _find(self, request: R) -> list[int]:
        """The last token is always computed: the next one is sampled from what comes out of it."""
        return self._pool.find(request.prefix, (request.total_tokens - 1) // self._limits.block_tokens)

    def _name_blocks(self, request: R) -> None:
        full = request.computed_tokens // self._limits.block_tokens
        for number in range(request.named_blocks, full):
            self._pool.name(request.blocks[number], request.prefix(number))
        request.named_blocks = max(request.named_blocks, full)

    def _set_due(self, request: R) -> None:
        room_tokens = len(request.blocks) * self._limits.block_tokens
        request.due_at = room_tokens - request.prompt_tokens + 1

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self._limits.block_tokens)
