"""The embedded default: no GPU, no weights, the timing of a real engine and tokens that anybody can predict."""

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager

from serving.engine import (
    ChatFormat,
    EngineDead,
    EngineLoad,
    EngineModel,
    EngineOverloaded,
    Generation,
    TokenDelta,
    Tokenizer,
    UnsupportedField,
)
from serving.engines.simulated.answer import Answer, Voice, voice_of
from serving.engines.simulated.chat import SimulatedChat
from serving.engines.simulated.choice import Choice, Job, Mailbox
from serving.engines.simulated.driver import Driver
from serving.engines.simulated.embedding import embed
from serving.engines.simulated.prefixes import Prefixes
from serving.engines.simulated.scheduler import Scheduler, Step
from serving.engines.simulated.settings import SimulatedSettings, profile_of
from serving.engines.simulated.tokens import SimulatedTokenizer, Special


async def create(settings: SimulatedSettings) -> "SimulatedEngine":
    """Return an engine on the running loop. Raises ValueError, in one line, for settings that do not go together."""
    return SimulatedEngine(settings)


class SimulatedEngine:
    """The Engine that `create` returns."""

    def __init__(self, settings: SimulatedSettings) -> None:
        profile = profile_of(settings)
        self.model = EngineModel(
            name=settings.model,
            context_tokens=profile.context_tokens,
            kv_cache_tokens=profile.limits.kv_cache_tokens,
            lora_names=settings.lora_names,
            can_embed=True,
            eos_token_ids=frozenset((int(Special.END),)),
        )
        self.tokenizer: Tokenizer = SimulatedTokenizer()
        self.chat: ChatFormat = SimulatedChat()
        self._settings = settings
        self._block_tokens = profile.limits.block_tokens
        self._scheduler = Scheduler[Job](profile.limits, profile.step_time)
        self._driver = Driver(self._scheduler, settings.speedup, _show, self._die)
        self._mailboxes: set[Mailbox] = set()
        self._is_dead = False

    def __repr__(self) -> str:
        return f"<SimulatedEngine {self.model.name} {self._scheduler!r}>"

    async def generate(self, generation: Generation) -> AsyncGenerator[TokenDelta, None]:
        mailbox = Mailbox()
        choices = self._choices(generation, mailbox)
        with self._running([choice.job for choice in choices], mailbox):
            left = choices
            while left:
                await mailbox.wait()
                # The first one is admitted first.
                cached_tokens = min(choices[0].job.cached_tokens, len(generation.prompt_token_ids))
                for delta in [choice.take(cached_tokens) for choice in left]:
                    if delta is not None:
                        yield delta
                left = [choice for choice in left if not choice.has_ended]

    def continues_exactly(self, generation: Generation) -> bool:
        """It does where this engine would have sent the same."""
        voice = self._voice(generation)
        return all(
            Answer(voice, index, generation.sampling).tokens(0, len(sent)) == list(sent)
            for index, sent in generation.sent.items()
        )

    async def embed(self, request_id: str, token_ids: Sequence[int], dimensions: int | None) -> list[float]:
        """Take the time that the input's prefill takes."""
        if dimensions is not None and dimensions > self._settings.embedding_dimensions:
            raise UnsupportedField("dimensions", f"at most {self._settings.embedding_dimensions}")
        prompt = tuple(token_ids)
        prefix = Prefixes("embedding", self._block_tokens, lambda start, stop: prompt[start:stop])
        mailbox = Mailbox()
        with self._running([Job(mailbox, len(prompt), 1, prefix)], mailbox):
            await mailbox.wait()
        return embed(prompt, dimensions or self._settings.embedding_dimensions)

    def load(self) -> EngineLoad:
        self._check_alive()
        scheduler = self._scheduler
        return EngineLoad(
            queue_depth=scheduler.queue_depth,
            running_requests=scheduler.running_requests,
            kv_cache_utilization=scheduler.kv_cache_utilization,
            uncached_waiting_tokens=scheduler.uncached_waiting_tokens,
        )

    async def close(self) -> None:
        self._driver.close()
        self._die()

    def _choices(self, generation: Generation, mailbox: Mailbox) -> list[Choice]:
        if len(generation.prompt_token_ids) + generation.sampling.max_tokens > self.model.context_tokens:
            limit = self.model.context_tokens
            raise UnsupportedField("sampling.max_tokens", f"prompt and output are longer than the context of {limit}")
        voice = self._voice(generation)
        indexes = [index for index in range(generation.sampling.n) if index not in generation.finished]
        return [
            Choice(generation, index, Answer(voice, index, generation.sampling), mailbox, self._block_tokens)
            for index in indexes
        ]

    def _voice(self, generation: Generation) -> Voice:
        return voice_of(generation.prompt_token_ids, generation.lora_name, self._settings.natural_tokens)

    @contextmanager
    def _running(self, jobs: Sequence[Job], mailbox: Mailbox) -> Generator[None]:
        """Submit the jobs of a mailbox; abort what is left of them at the end."""
        self._check_alive()
        if self._scheduler.queue_depth + len(jobs) > self._settings.max_queued_requests:
            raise EngineOverloaded(f"{self._scheduler.queue_depth} requests are waiting")
        self._mailboxes.add(mailbox)
        try:
            for job in jobs:
                self._driver.submit(job)
            yield
        finally:
            self._mailboxes.discard(mailbox)
            for job in jobs:
                self._scheduler.abort(job)

    def _check_alive(self) -> None:
        if self._is_dead:
            raise EngineDead("the simulated engine has stopped")

    def _die(self) -> None:
        self._is_dead = True
        for mailbox in self._mailboxes:
            mailbox.die()


def _show(step: Step[Job]) -> None:
    for job in step.produced:
        job.show_token()
