"""Requests over plain lists of tokens, and a scheduler small enough to count on fingers."""

from collections.abc import Sequence

from serving.engines.simulated.prefixes import Prefixes
from serving.engines.simulated.request import Request
from serving.engines.simulated.scheduler import Limits, Scheduler, Step
from serving.engines.simulated.step_time import StepTime

BLOCK_TOKENS = 4
ONE_SECOND = StepTime(fixed_s=1.0, per_decoding_s=0.0, per_context_token_s=0.0, per_prefill_token_s=0.0)


class Sequenced(Request):
    """Knows its tokens: those of the output are 1000, 1001, ..."""

    __slots__ = ("name", "salt", "tokens")

    def __init__(
        self, name: str, prompt: Sequence[int], output_tokens: int = 1, *, priority: int = 0, salt: str = ""
    ) -> None:
        self.name = name
        self.salt = salt
        self.tokens = [*prompt, *range(1000, 1000 + output_tokens)]
        prefix = Prefixes(salt, BLOCK_TOKENS, lambda start, stop: self.tokens[start:stop])
        super().__init__(len(prompt), output_tokens, prefix, priority)


class SmallScheduler(Scheduler[Sequenced]):
    """Blocks of 4 tokens, steps of 1 s, and a clock."""

    def __init__(
        self, blocks: int = 100, *, max_num_seqs: int = 8, max_num_batched_tokens: int = 16, ingest_s: float = 0.0
    ) -> None:
        super().__init__(
            Limits(blocks * BLOCK_TOKENS, max_num_seqs, max_num_batched_tokens, BLOCK_TOKENS, ingest_s), ONE_SECOND
        )
        self.now_s = 0.0

    def submit_all(self, *requests: Sequenced) -> None:
        for request in requests:
            self.submit(request, self.now_s)

    def run_step(self) -> Step[Sequenced]:
        step = self.step(self.now_s)
        assert step is not None
        self.now_s += step.duration_s
        return step

    def run(self) -> list[Step[Sequenced]]:
        """Run until there is nothing left to compute."""
        steps: list[Step[Sequenced]] = []
        while (step := self.step(self.now_s)) is not None:
            self.now_s += step.duration_s
            steps.append(step)
            assert len(steps) < 10_000, "a request never ends"
        return steps


def names(requests: Sequence[Sequenced]) -> str:
    return "".join(request.name for request in requests)
