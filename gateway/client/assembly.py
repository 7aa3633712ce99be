"""Reads the messages of one stream, checks that none is missing, and keeps what came."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gateway.client.errors import DataLoss
from gateway.client.messages import Message, ToolCall
from gateway.client.results import (
    ChatDelta,
    Choice,
    Completion,
    Delta,
    FinishReason,
    GenerateDelta,
    Reply,
    ReplyChoice,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from gateway.rpc.status import Code
from inference.v1 import inference_pb2 as pb

_Response = pb.GenerateResponse | pb.ChatResponse
ResponseT = TypeVar("ResponseT", bound=_Response)
DeltaT = TypeVar("DeltaT", bound=Delta)
ResultT = TypeVar("ResultT")

_FINISH_REASONS: Mapping[int, FinishReason | None] = {
    pb.FINISH_REASON_UNSPECIFIED: None,
    pb.FINISH_REASON_STOP: FinishReason.STOP,
    pb.FINISH_REASON_LENGTH: FinishReason.LENGTH,
    pb.FINISH_REASON_TOOL_CALLS: FinishReason.TOOL_CALLS,
    pb.FINISH_REASON_ABORT: FinishReason.ABORT,
}


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    arguments: list[str]


@dataclass(slots=True)
class _Received:
    """Of one choice."""

    text: list[str] = field(default_factory=list[str])
    reasoning: list[str] = field(default_factory=list[str])
    calls: dict[int, _Call] = field(default_factory=dict[int, _Call])
    token_ids: list[int] = field(default_factory=list[int])
    logprobs: list[TokenLogprob] = field(default_factory=list[TokenLogprob])
    finish_reason: FinishReason | None = None
    matched_stop: str | int | None = None


class Assembly(ABC, Generic[ResponseT, DeltaT, ResultT]):
    """One attempt at one stream of `n` choices."""

    def __init__(self, n: int) -> None:
        self.next_sequence = 0
        self._choices = [_Received() for _ in range(n)]
        self._usage = Usage(0, 0, 0)
        self._continued_inexactly = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing was received yet."""
        return self.next_sequence == 0

    def add(self, response: ResponseT) -> DeltaT:
        """Take the next message. Raises DataLoss where it is not the one that should come now."""
        if response.sequence != self.next_sequence:
            raise _lost(f"message {self.next_sequence} of the stream should have come, not {response.sequence}")
        if response.index >= len(self._choices):
            raise _lost(f"choice {response.index} came, but only {len(self._choices)} were asked for")
        self.next_sequence += 1
        delta = self._read(response)
        choice = self._choices[delta.index]
        choice.token_ids += delta.token_ids
        choice.logprobs += delta.logprobs
        if delta.finish_reason is not None:
            choice.finish_reason, choice.matched_stop = delta.finish_reason, delta.matched_stop
        self._usage = delta.usage or self._usage
        self._continued_inexactly |= delta.continued_inexactly
        self._keep(choice, delta)
        return delta

    @abstractmethod
    def result(self) -> ResultT:
        """Return the whole. Raises DataLoss where a choice has not ended."""

    @abstractmethod
    def _read(self, response: ResponseT) -> DeltaT: ...

    @abstractmethod
    def _keep(self, choice: _Received, delta: DeltaT) -> None: ...

    def _finished(self, index: int) -> dict[str, Any]:
        """Return what both kinds of assembled choices share."""
        choice = self._choices[index]
        if choice.finish_reason is None:
            raise _lost(f"the stream ended before choice {index} did")
        return {
            "token_ids": tuple(choice.token_ids),
            "logprobs": tuple(choice.logprobs),
            "finish_reason": choice.finish_reason,
            "matched_stop": choice.matched_stop,
        }


class GenerateAssembly(Assembly[pb.GenerateResponse, GenerateDelta, Completion]):
    def _read(self, response: pb.GenerateResponse) -> GenerateDelta:
        return GenerateDelta(**_shared(response), text=response.text)

    def _keep(self, choice: _Received, delta: GenerateDelta) -> None:
        choice.text.append(delta.text)

    def result(self) -> Completion:
        choices = tuple(
            Choice(text="".join(choice.text), **self._finished(index)) for index, choice in enumerate(self._choices)
        )
        return Completion(choices=choices, usage=self._usage, continued_inexactly=self._continued_inexactly)


class ChatAssembly(Assembly[pb.ChatResponse, ChatDelta, Reply]):
    def _read(self, response: pb.ChatResponse) -> ChatDelta:
        call = response.tool_call
        has_call = response.HasField("tool_call")
        return ChatDelta(
            **_shared(response),
            content=response.content,
            reasoning=response.reasoning,
            tool_call=ToolCallDelta(call.index, call.id, call.name, call.arguments_json) if has_call else None,
        )

    def _keep(self, choice: _Received, delta: ChatDelta) -> None:
        choice.text.append(delta.content)
        choice.reasoning.append(delta.reasoning)
        if (new := delta.tool_call) is not None:
            call = choice.calls.setdefault(new.index, _Call(new.id, new.name, []))
            call.arguments.append(new.arguments_json)

    def result(self) -> Reply:
        choices = tuple(
            ReplyChoice(message=_message(choice), **self._finished(index)) for index, choice in enumerate(self._choices)
        )
        return Reply(choices=choices, usage=self._usage, continued_inexactly=self._continued_inexactly)


def usage_of(usage: pb.Usage) -> Usage:
    return Usage(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens)


def _shared(response: _Response) -> dict[str, Any]:
    stop = response.WhichOneof("matched_stop")
    return {
        "sequence": response.sequence,
        "index": response.index,
        "token_ids": tuple(response.token_ids),
        "logprobs": tuple(_logprob(token) for token in response.logprobs),
        "finish_reason": _FINISH_REASONS.get(response.finish_reason, FinishReason.UNKNOWN),
        "matched_stop": None if stop is None else getattr(response, stop),
        "usage": usage_of(response.usage) if response.HasField("usage") else None,
        "continued_inexactly": response.continued_inexactly,
    }


def _logprob(token: pb.TokenLogprob) -> TokenLogprob:
    return TokenLogprob(token.logprob, tuple((other.token_id, other.logprob) for other in token.alternatives))


def _message(choice: _Received) -> Message:
    return Message(
        "assistant",
        "".join(choice.text),
        reasoning="".join(choice.reasoning),
        tool_calls=tuple(ToolCall(c.id, c.name, "".join(c.arguments)) for _, c in sorted(choice.calls.items())),
    )


def _lost(message: str) -> DataLoss:
    return DataLoss(Code.DATA_LOSS, message)
