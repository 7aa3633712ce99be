"""Agents at work: conversations of several turns, each answer streamed."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.demo.tally import Activity, Request, Tally
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
    at_once: int = 14
    turns: int = 5
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
        self.tally = Tally(plan.requests, [Activity.WAITING] * plan.conversations)
        self._client = client
        self._plan = plan
        self._clock = clock
        self._seed = seed

    async def run(self) -> None:
        places = asyncio.Semaphore(self._plan.at_once)
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._plan.conversations):
                tasks.create_task(self._converse(number, places))

    async def _converse(self, number: int, places: asyncio.Semaphore) -> None:
        async with places:
            session = self._client.session([Message("system", _SYSTEM)], temperature=0.0, ignore_eos=True)
            rng = random.Random(f"{self._seed}/{number}")
            await _Agent(session, self._plan, self.tally, number, rng).work(self._clock)


class _Agent:
    """One conversation."""

    def __init__(
        self, session: Session[Stream[ChatDelta, Reply]], plan: Plan, tally: Tally, number: int, rng: random.Random
    ) -> None:
        self._session = session
        self._plan = plan
        self._tally = tally
        self._number = number
        self._rng = rng

    async def work(self, clock: Callable[[], float]) -> None:
        await self._ask(self._rng.choice(_TASKS), clock)
        for _ in range(1, self._plan.turns):
            self._now(Activity.THINKING)
            await asyncio.sleep(self._plan.think_s * self._rng.uniform(0.5, 1.5))
            await self._ask(self._rng.choice(_RESULTS), clock)
        self._now(Activity.DONE)

    async def _ask(self, message: str, clock: Callable[[], float]) -> None:
        """Take one turn, and take it again as a whole where that makes sense: its replica may have died."""
        request = Request(begun_at=clock())
        max_tokens = self._rng.randint(*self._plan.answer_tokens)
        for attempt in range(1, self._plan.attempts + 1):
            self._now(Activity.STREAMING)
            try:
                async for delta in self._session.chat(message, max_tokens=max_tokens):
                    request.received(len(delta.token_ids), clock())
                    self._tally.tokens += len(delta.token_ids)
            except InferenceError as error:
                if not error.retry_makes_sense or attempt == self._plan.attempts:
                    self._tally.failures.append(str(error))
                    return
                self._now(Activity.BEGINNING_AGAIN)
                request.again()
                self._tally.retries += 1
                await asyncio.sleep(self._wait_s(error, attempt))
            else:
                self._tally.done.append(request)
                return

    def _wait_s(self, error: InferenceError, attempt: int) -> float:
        wait_s = error.retry_after_s or min(_LONGEST_BACKOFF_S, 0.1 * 2**attempt)
        return wait_s * self._rng.uniform(1, 1.5)

    def _now(self, activity: Activity) -> None:
        self._tally.activities[self._number] = activity
