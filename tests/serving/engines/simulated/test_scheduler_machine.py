"""Whatever is submitted, aborted and stepped in whatever order: every token is made once, and nothing stays behind."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from serving.engines.simulated.request import State
from tests.serving.engines.simulated.sequences import BLOCK_TOKENS, Sequenced, SmallScheduler

BLOCKS = 8
MAX_NUM_SEQS = 4
MAX_NUM_BATCHED_TOKENS = 9
# A prompt is a beginning of one of these, so that many have a beginning in common.
ORIGINS = tuple([*range(10), *range(100 * origin, 100 * origin + 10)] for origin in (1, 2))


class Submitting(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.scheduler = SmallScheduler(
            BLOCKS, max_num_seqs=MAX_NUM_SEQS, max_num_batched_tokens=MAX_NUM_BATCHED_TOKENS, ingest_s=0.5
        )
        self.requests: list[Sequenced] = []
        self.made: dict[Sequenced, int] = {}

    @property
    def running(self) -> list[Sequenced]:
        return [r for r in self.requests if r.state in (State.PREFILLING, State.DECODING)]

    @property
    def waiting(self) -> list[Sequenced]:
        return [r for r in self.requests if r.state is State.WAITING]

    @rule(
        origin=st.sampled_from(ORIGINS),
        prompt_tokens=st.integers(1, 20),
        output_tokens=st.integers(1, 12),
        priority=st.integers(-1, 1),
        salt=st.sampled_from(("", "", "salt")),
    )
    def submit(self, origin: list[int], prompt_tokens: int, output_tokens: int, priority: int, salt: str) -> None:
        request = Sequenced(
            str(len(self.requests)), origin[:prompt_tokens], output_tokens, priority=priority, salt=salt
        )
        self.scheduler.submit(request, self.scheduler.now_s)
        self.requests.append(request)
        self.made[request] = 0

    @precondition(lambda self: self.requests)
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        self.scheduler.abort(data.draw(st.sampled_from(self.requests)))

    @rule()
    def let_time_pass(self) -> None:
        self.scheduler.now_s += 0.25

    @rule()
    def step(self) -> None:
        decoding = {r: r.computed_tokens for r in self.requests if r.state is State.DECODING}
        before = {r: r.state for r in self.requests}
        running, cached = self.running, {r: r.cached_tokens for r in self.requests}
        step = self.scheduler.step(self.scheduler.now_s)
        if step is None:
            assert not self.running
            assert not self.waiting
            return
        self.scheduler.now_s += step.duration_s
        assert step.batch.decoding + step.batch.prefill_tokens <= MAX_NUM_BATCHED_TOKENS
        computed = [tokens + 1 for request, tokens in decoding.items() if request not in step.preempted]
        assert (step.batch.decoding, step.batch.context_tokens) == (len(computed), sum(computed))
        for request in step.produced:
            self.made[request] += 1
        survivors = [r for r in running if r not in step.preempted]
        assert all(survivor < victim for survivor in survivors for victim in step.preempted)
        admitted = [r for r in self.requests if r.state is not before[r] and r not in running and r in self.running]
        assert all(request < other for request in admitted for other in self.waiting)
        assert not (admitted and step.preempted)
        for request in self.requests:
            if request.cached_tokens != cached[request]:
                assert request.cached_tokens <= self.longest_known_beginning(request)

    def longest_known_beginning(self, request: Sequenced) -> int:
        """In whole blocks, and without the last token of the prompt."""
        known = [shared_tokens(request, other) for other in self.requests if other is not request]
        most = min(max(known, default=0), request.prompt_tokens - 1)
        return most // BLOCK_TOKENS * BLOCK_TOKENS

    @invariant()
    def no_token_is_lost_or_made_twice(self) -> None:
        for request, made in self.made.items():
            assert request.made_tokens == made <= request.output_tokens

    @invariant()
    def blocks_are_held_by_those_who_run(self) -> None:
        held = {block for request in self.requests for block in request.blocks}
        assert self.scheduler.kv_cache_utilization == len(held) / BLOCKS
        for request in self.requests:
            assert bool(request.blocks) == (request in self.running)
            assert request.computed_tokens <= len(request.blocks) * BLOCK_TOKENS

    @invariant()
    def counts_are_right(self) -> None:
        assert self.scheduler.running_requests == len(self.running) <= MAX_NUM_SEQS
        queue = [r for r in self.requests if r.state in (State.WAITING, State.INGESTING)]
        assert self.scheduler.queue_depth == len(queue)
        assert self.scheduler.uncached_waiting_tokens == sum(r.uncached_tokens for r in queue)

    def teardown(self) -> None:
        aborted = {r for r in self.requests if r.state is State.ENDED and not r.has_made_all}
        self.scheduler.now_s += 0.5
        for step in self.scheduler.run():
            for request in step.produced:
                self.made[request] += 1
        self.no_token_is_lost_or_made_twice()
        assert all(r.has_made_all for r in self.requests if r not in aborted)
        assert repr(self.scheduler).startswith("<Scheduler 0 running, 0 waiting, <BlockPool 0 held")


def shared_tokens(one: Sequenced, other: Sequenced) -> int:
    """How many tokens of the other, made ones included, one begins with."""
    if one.salt != other.salt:
        return 0
    theirs = other.tokens[: other.total_tokens]
    same = [a == b for a, b in zip(one.tokens, theirs, strict=False)]
    return same.index(False) if False in same else len(same)


TestSubmitting = Submitting.TestCase
TestSubmitting.settings = settings(max_examples=100, stateful_step_count=30)
