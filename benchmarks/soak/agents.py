"""Agents that change their minds: half of their streams are cancelled, and each leaves now and then and comes back."""

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, field

import grpc.aio

from inference.v1 import inference_pb2 as pb
from inference.v1.inference_pb2_grpc import InferenceStub

AGENTS = 4
STREAMS = 8
"""At a time, of one agent."""
_STAY_S = (3.0, 15.0)
"""Between two connections of one agent."""
_TOKENS = (1, 80)
_TIMEOUT_S = 60.0
"""A stream that takes longer is stuck."""


@dataclass
class Stream:
    """One request, as its agent sees it."""

    begun_at: float
    """By the wall clock, as in logs."""
    responses: list[pb.GenerateResponse] = field(default_factory=list[pb.GenerateResponse])


@dataclass
class Tally:
    """How streams have ended."""

    whole: int = 0
    cancelled: int = 0
    lost: Counter[str] = field(default_factory=Counter[str])
    """With UNAVAILABLE: their replica was killed."""
    wrong: Counter[str] = field(default_factory=Counter[str])
    """Any other way; there should be none."""
    connections: int = 0

    @property
    def streams(self) -> int:
        return self.whole + self.cancelled + self.lost.total() + self.wrong.total()

    def failed(self, error: grpc.aio.AioRpcError, stream: Stream) -> None:
        ended = self.lost if error.code() is grpc.StatusCode.UNAVAILABLE else self.wrong
        ended[said(error)] += 1


def said(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name}: {error.details()}"[:120]


class Agent:
    def __init__(self, address: str, tally: Tally, seed: int, over_at: float, rate: float = math.inf) -> None:
        """`over_at` is an instant of time.monotonic, `rate` the most streams a second of all agents together."""
        self._address = address
        self._tally = tally
        self._rng = random.Random(seed)
        self._over_at = over_at
        self._pauses_per_s = rate / (AGENTS * STREAMS)

    async def run(self) -> None:
        while time.monotonic() < self._over_at:
            leave_at = min(self._over_at, time.monotonic() + self._rng.uniform(*_STAY_S))
            # A connection of its own, not one that agents of this process share.
            options = [("grpc.use_local_subchannel_pool", 1)]
            async with grpc.aio.insecure_channel(self._address, options) as channel, asyncio.TaskGroup() as tasks:
                self._tally.connections += 1
                for _ in range(STREAMS):
                    tasks.create_task(self._converse(channel, leave_at))

    async def _converse(self, channel: grpc.aio.Channel, leave_at: float) -> None:
        while time.monotonic() < leave_at:
            stream = Stream(time.time())
            try:
                await self._converse_once(channel, stream)
            except grpc.aio.AioRpcError as error:
                self._tally.failed(error, stream)
                # As it was told to; a loop of refusals would be a load of its own.
                await asyncio.sleep(0.2)
            await asyncio.sleep(self._rng.expovariate(self._pauses_per_s))

    async def _converse_once(self, channel: grpc.aio.Channel, stream: Stream) -> None:
        tokens = self._rng.randint(*_TOKENS)
        sampling = pb.SamplingParameters(max_tokens=tokens, ignore_eos=True)
        request = pb.GenerateRequest(text=f"conversation {self._rng.random()}", model="m", sampling=sampling)
        call = InferenceStub(channel).Generate(request, timeout=_TIMEOUT_S)
        try:
            if self._rng.random() < 0.5:
                await self._give_up(aiter(call), stream)
            else:
                await self._read_all(call, stream, tokens)
        finally:
            call.cancel()

    async def _give_up(self, responses: AsyncIterator[pb.GenerateResponse], stream: Stream) -> None:
        for _ in range(self._rng.choice((0, 0, 1, 3, 20))):
            if (response := await anext(responses, None)) is not None:
                stream.responses.append(response)
        await asyncio.sleep(self._rng.random() * 0.02)
        self._tally.cancelled += 1

    async def _read_all(self, call: AsyncIterable[pb.GenerateResponse], stream: Stream, tokens: int) -> None:
        async for response in call:
            stream.responses.append(response)
        got = sum(len(response.token_ids) for response in stream.responses)
        if got == tokens and [each.sequence for each in stream.responses] == list(range(len(stream.responses))):
            self._tally.whole += 1
        else:
            self._tally.wrong[f"{got} of {tokens} tokens"] += 1
