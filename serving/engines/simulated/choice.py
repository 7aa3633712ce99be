"""What runs in the engine for one caller, and how the caller hears of it."""

import asyncio
from collections.abc import Sequence

from serving.engine import ContinuationImpossible, EngineDead, Generation, TokenDelta, TokenLogprobs
from serving.engines.simulated.answer import Answer
from serving.engines.simulated.logprobs import logprobs_of
from serving.engines.simulated.prefixes import Prefixes
from serving.engines.simulated.request import Request


class Mailbox:
    """Wakes one reader. It keeps nothing: what was not read is read with what comes next, as vLLM merges deltas."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._is_dead = False

    def notify(self) -> None:
        self._event.set()

    def die(self) -> None:
        self._is_dead = True
        self._event.set()

    async def wait(self) -> None:
        """Wait for the next notice, or take the last one. Raises EngineDead."""
        await self._event.wait()
        self._event.clear()
        if self._is_dead:
            raise EngineDead("the simulated engine has stopped")


class Job(Request):
    """A request whose tokens somebody waits for."""

    __slots__ = ("_mailbox", "visible_tokens")

    def __init__(
        self, mailbox: Mailbox, prompt_tokens: int, output_tokens: int, prefix: Prefixes, priority: int = 0
    ) -> None:
        super().__init__(prompt_tokens, output_tokens, prefix, priority)
        self._mailbox = mailbox
        self.visible_tokens = 0
        """Of `made_tokens`, those whose step has ended."""

    def show_token(self) -> None:
        self.visible_tokens += 1
        self._mailbox.notify()


class Choice:
    """One choice of a generation: the job that computes it and what the caller has had of it."""

    def __init__(self, generation: Generation, index: int, answer: Answer, mailbox: Mailbox, block_tokens: int) -> None:
        """Raises ContinuationImpossible."""
        sent_tokens = len(generation.sent.get(index, ()))
        if sent_tokens >= answer.length:
            raise ContinuationImpossible(f"choice {index} would have ended before the {sent_tokens} tokens sent of it")
        self._index = index
        self._answer = answer
        self._logprobs = generation.sampling.logprobs
        self._sent_tokens = self._read_tokens = sent_tokens
        context = (*generation.prompt_token_ids, *generation.sent.get(index, ()))

        def read(start: int, stop: int) -> tuple[int, ...]:
            made = sent_tokens - len(context)
            return context[start:stop] + tuple(answer.tokens(max(start, len(context)) + made, stop + made))

        prefix = Prefixes((generation.cache_salt, generation.lora_name), block_tokens, read)
        self.job = Job(mailbox, len(context), answer.length - sent_tokens, prefix, generation.priority)

    @property
    def has_ended(self) -> bool:
        return self._read_tokens == self._answer.length

    def take(self, cached_tokens: int) -> TokenDelta | None:
        """Return what is new since the last call."""
        start, stop = self._read_tokens, self._sent_tokens + self.job.visible_tokens
        if start == stop:
            return None
        self._read_tokens = stop
        token_ids = self._answer.tokens(start, stop)
        return TokenDelta(
            self._index,
            token_ids,
            logprobs=self._logprobs_of(token_ids, start),
            ended=self._answer.ended if self.has_ended else None,
            stop_token_id=self._answer.stop_token_id if self.has_ended else None,
            cached_tokens=cached_tokens,
        )

    def _logprobs_of(self, token_ids: Sequence[int], start: int) -> Sequence[TokenLogprobs]:
        count = self._logprobs
        if count is None:
            return ()
        return [logprobs_of(token_id, position, count) for position, token_id in enumerate(token_ids, start)]
