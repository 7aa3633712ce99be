"""Agents at work: conversations of several turns, each answer streamed."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.demo.tally import Request, Tally
from gateway.client import ChatDelta, Client, InferenceError, Message, Reply, Session, Stream

_SYSTEM = "You are an agent that works on a code base. You have a shell and an editor. Think, act, report."
_TASKS = (
    "The tests of the parser fail since yesterday. Find out why.",
    "Add a flag that prints the version, with a test.",
    "Which module opens sockets? Draw the call graph as text.",
    "Rewrite the loop in report.py so that it reads the file once.",
)
_RESULTS = (
    "$ pytest -q\n2 failed, 311 passed in 8.12s",
    "$ git diff --stat\n 3 files changed, 41 insertions(+), 7 deletions(-)",
    "$ rg -n 'socket' src | head\nsrc/net.py:14: import socket",
    "Looks right. What is left to do?",
)
_LONGEST_BACKOFF_S = 2.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How much work there is."""

    conversations: int = 40
    at_once: int = 12
    turns: int = 4
    answer_tokens: tuple[int, int] = (80, 160)
    """From, to."""
    think_s: float = 0.3
    """Mean time from an answer to the next turn: what the agent's tools take."""
    attempts: int = 8

    @property
    def requests(self) -> int:
        return self.conversations * self.turns


class Workload:
    """Runs a plan against a gateway and writes down in `tally` what the agents see."""

    def __init__(self, client: Client, plan: Plan, clock: Callable[[], float], seed: int) -> None:
        self.tally = Tally(plan.requests)
        self._client = client
        self._plan = plan
        self._clock = clock
        self._seed = seed
        self._places = asyncio.Semaphore(plan.at_once)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._plan.conversations):
                tasks.create_task(self._converse(random.Random(f"{self._seed}/{number}")))

    async def _converse(self, rng: random.Random) -> None:
        async with self._places:
            session = self._client.session([Message("system", _SYSTEM)], temperature=0.0, ignore_eos=True)
            message = rng.choice(_TASKS)
            for _ in range(self._plan.turns):
                await self._ask(session, message, rng)
                await asyncio.sleep(rng.expovariate(1 / self._plan.think_s))
                message = rng.choice(_RESULTS)
            self.tally.conversations_done += 1

    async def _ask(self, session: Session[Stream[ChatDelta, Reply]], message: str, rng: random.Random) -> None:
        """Take one turn, and take it again as a whole when its replica dies."""
        request = Request(begun_at=self._clock())
        tokens = rng.randint(*self._plan.answer_tokens)
        for attempt in range(1, self._plan.attempts + 1):
            try:
                async for delta in session.chat(message, max_tokens=tokens):
                    request.received(len(delta.token_ids), self._clock())
                    self.tally.tokens += len(delta.token_ids)
            except InferenceError as error:
                if not error.retry_makes_sense or attempt == self._plan.attempts:
                    self.tally.failures.append(str(error))
                    return
                request.again()
                self.tally.retries += 1
                wait_s = error.retry_after_s or min(_LONGEST_BACKOFF_S, 0.1 * 2**attempt)
                await asyncio.sleep(wait_s * rng.uniform(1, 1.5))
            else:
                self.tally.done.append(request)
                return
