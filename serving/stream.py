"""The messages of one response stream. Pure: sequence numbers over all choices, usage, and where a continued stream
goes on. How a choice looks in messages is `GenerateChoice`'s business here and `serving.chat`'s for Chat."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Generic, Protocol, TypeVar

from inference.v1 import inference_pb2 as pb
from serving.engine import TokenDelta, TokenLogprobs
from serving.text import Finish, Step, Transcript, Unsent

Response = TypeVar("Response", pb.GenerateResponse, pb.ChatResponse)
Response_co = TypeVar("Response_co", pb.GenerateResponse, pb.ChatResponse, covariant=True)


class Choice(Protocol[Response_co]):
    """One choice of a stream."""

    transcript: Transcript

    def replay(self, token_ids: Sequence[int]) -> Sequence[Response_co]:
        """Take the ids that were sent; return what they give beyond what was sent, without ids."""
        ...

    def advance(self, delta: TokenDelta) -> Sequence[Response_co]:
        """Take what the engine made; return at least one message."""
        ...


class GenerateChoice:
    def __init__(self, index: int, transcript: Transcript, sent_text_bytes: int = 0) -> None:
        self.transcript = transcript
        self._index = index
        self._unsent = Unsent(sent_text_bytes)

    def replay(self, token_ids: Sequence[int]) -> Sequence[pb.GenerateResponse]:
        step = self.transcript.replay(token_ids)
        text = self._text(step)
        return [self._message(text, step.finish)] if text or step.finish else []

    def advance(self, delta: TokenDelta) -> Sequence[pb.GenerateResponse]:
        step = self.transcript.advance(delta)
        message = self._message(self._text(step), step.finish)
        add_ids(message, step.token_ids, delta.logprobs)
        return [message]

    def _text(self, step: Step) -> str:
        return self._unsent.take("".join(step.texts) + step.rest)

    def _message(self, text: str, finish: Finish | None) -> pb.GenerateResponse:
        message = pb.GenerateResponse(index=self._index, text=text)
        if finish is not None:
            add_finish(message, finish)
        return message


def add_ids(
    message: pb.GenerateResponse | pb.ChatResponse, token_ids: Sequence[int], logprobs: Sequence[TokenLogprobs]
) -> None:
    """Set ids and their logprobs; logprobs of ids that are not sent are dropped."""
    message.token_ids.extend(token_ids)
    for _, logprob in zip(token_ids, logprobs, strict=False):
        entry = message.logprobs.add(logprob=logprob.logprob)
        for token_id, value in logprob.alternatives:
            entry.alternatives.add(token_id=token_id, logprob=value)


def add_finish(message: pb.GenerateResponse | pb.ChatResponse, finish: Finish) -> None:
    message.finish_reason = finish.reason
    if finish.stop_string is not None:
        message.stop_string = finish.stop_string
    elif finish.stop_token_id is not None:
        message.stop_token_id = finish.stop_token_id


@dataclass(frozen=True, slots=True)
class Start:
    """Where a stream begins; all zero for a new one."""

    prompt_tokens: int
    next_sequence: int = 0
    usage: pb.Usage | None = None
    sent: Mapping[int, Sequence[int]] = field(default_factory=dict[int, Sequence[int]])
    """The ids sent of each choice, ended ones included."""
    finished: frozenset[int] = frozenset()
    is_exact: bool = True


class ResponseStream(Generic[Response]):
    """All choices of one response, and the counters over them."""

    def __init__(self, choices: Mapping[int, Choice[Response]], start: Start) -> None:
        """`choices` are those that had not ended where the stream begins."""
        self.cached_tokens = 0
        """Of the prompt, in this engine."""
        self.new_tokens = 0
        """Over all choices, made by this engine and sent."""
        self._choices = choices
        self._open = set(choices)
        self._start = start
        self._sequence = start.next_sequence

    @property
    def is_finished(self) -> bool:
        return not self._open

    @property
    def ended(self) -> frozenset[int]:
        """Choices for which the engine has nothing to do."""
        return self._start.finished | (self._choices.keys() - self._open)

    def resume(self) -> list[Response]:
        """Return what the ids already sent give beyond what was sent: nothing in a new stream."""
        replayed = [(index, token_ids) for index, token_ids in sorted(self._start.sent.items()) if index in self._open]
        return self._number(list(chain.from_iterable(self._replay(index, token_ids) for index, token_ids in replayed)))

    def push(self, delta: TokenDelta) -> list[Response]:
        """Return the messages of one delta."""
        if delta.index not in self._open:
            return []
        self.cached_tokens = delta.cached_tokens
        transcript = self._choices[delta.index].transcript
        before = transcript.tokens
        messages = list(self._choices[delta.index].advance(delta))
        self.new_tokens += transcript.tokens - before
        self._close_if_ended(delta.index)
        return self._number(messages)

    def usage(self) -> pb.Usage:
        """Return the usage of the whole stream so far; the prompt counts as it did where the stream began."""
        first = self._start.usage
        return pb.Usage(
            prompt_tokens=self._start.prompt_tokens if first is None else first.prompt_tokens,
            cached_tokens=self.cached_tokens if first is None else first.cached_tokens,
            completion_tokens=sum(map(len, self._start.sent.values())) + self.new_tokens,
        )

    def _replay(self, index: int, token_ids: Sequence[int]) -> Sequence[Response]:
        messages = self._choices[index].replay(token_ids)
        self._close_if_ended(index)
        return messages

    def _close_if_ended(self, index: int) -> None:
        if self._choices[index].transcript.finish is not None:
            self._open.discard(index)

    def _number(self, messages: list[Response]) -> list[Response]:
        for message in messages:
            message.sequence = self._sequence
            if self._sequence == self._start.next_sequence:
                self._mark_first(message)
            self._sequence += 1
        if messages and not self._open:
            messages[-1].usage.CopyFrom(self.usage())
        return messages

    def _mark_first(self, message: Response) -> None:
        if self._sequence == 0:
            usage = self.usage()
            message.usage.prompt_tokens = usage.prompt_tokens
            message.usage.cached_tokens = usage.cached_tokens
        elif not self._start.is_exact:
            message.continued_inexactly = True
