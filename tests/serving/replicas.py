"""Streams as replicas make them and as a gateway and an agent see them, without any server."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from inference.v1 import inference_pb2 as pb
from serving.chat import ChatChoice
from serving.engine import Sampling, TokenDelta
from serving.stream import GenerateChoice, Response, ResponseStream, Start
from serving.text import TextRules, Transcript
from tests.serving.fakes import EOS, Answer, FakeDecoder, FakeParser

PROMPT_TOKENS = 7


@dataclass(frozen=True)
class Case:
    """A request, and what the engine answers on every replica."""

    sampling: Sampling
    rules: TextRules
    answers: Sequence[Answer]

    def transcript(self) -> Transcript:
        decoder = FakeDecoder(skip_special_tokens=self.rules.skip_special_tokens)
        return Transcript(decoder, self.sampling, self.rules, frozenset({EOS}))

    def deltas(self, sent: Mapping[int, Sequence[int]], sizes: Sequence[int], cached: int) -> Iterator[TokenDelta]:
        """Yield in turns what the choices add to what was sent."""
        turns = [
            iter(Answer(answer.token_ids, answer.ended, sizes).deltas(index, len(sent.get(index, ())), cached))
            for index, answer in enumerate(self.answers)
        ]
        while turns:
            for turn in list(turns):
                delta = next(turn, None)
                if delta is None:
                    turns.remove(turn)
                else:
                    yield delta


def generate(
    case: Case, before: Sequence[pb.GenerateResponse] = (), *, sizes: Sequence[int] = (1,), cached: int = 3
) -> list[pb.GenerateResponse]:
    """Run one replica to the end, after `before` was sent by others."""
    start, text_bytes = start_after(before), {index: len(seen.text.encode()) for index, seen in seen_in(before).items()}
    choices = {
        index: GenerateChoice(index, case.transcript(), text_bytes.get(index, 0))
        for index in range(len(case.answers))
        if index not in start.finished
    }
    return _run(ResponseStream(choices, start), case.deltas(start.sent, sizes, cached))


def chat(
    case: Case, before: Sequence[pb.ChatResponse] = (), *, sizes: Sequence[int] = (1,), cached: int = 3
) -> list[pb.ChatResponse]:
    """As `generate`."""
    start, sent = start_after(before), sent_chat_choices(before)
    choices = {
        index: ChatChoice(index, case.transcript(), FakeParser(), sent.get(index))
        for index in range(len(case.answers))
        if index not in start.finished
    }
    return _run(ResponseStream(choices, start), case.deltas(start.sent, sizes, cached))


def _run(stream: ResponseStream[Response], deltas: Iterator[TokenDelta]) -> list[Response]:
    messages = stream.resume()
    while not stream.is_finished:
        messages += stream.push(next(deltas))
    return messages


@dataclass
class Seen:
    """All that an agent can make of one choice."""

    text: str = ""
    content: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    token_ids: list[int] = field(default_factory=list[int])
    logprobs: list[float] = field(default_factory=list[float])
    finish_reason: pb.FinishReason.ValueType = pb.FINISH_REASON_UNSPECIFIED
    matched_stop: str | int | None = None


def seen_in(messages: Sequence[pb.GenerateResponse] | Sequence[pb.ChatResponse]) -> dict[int, Seen]:
    found: dict[int, Seen] = {}
    for message in messages:
        seen = found.setdefault(message.index, Seen())
        assert not seen.finish_reason, "a message after the last one"
        seen.token_ids += message.token_ids
        seen.logprobs += [entry.logprob for entry in message.logprobs]
        seen.finish_reason = message.finish_reason
        matched = message.WhichOneof("matched_stop")
        seen.matched_stop = getattr(message, matched) if matched else None
        if isinstance(message, pb.GenerateResponse):
            seen.text += message.text
        else:
            _see_delta(seen, message)
    return found


def _see_delta(seen: Seen, message: pb.ChatResponse) -> None:
    seen.content += message.content
    seen.reasoning += message.reasoning
    if message.HasField("tool_call"):
        call = message.tool_call
        if call.id:
            assert call.index == len(seen.calls)
            seen.calls.append((call.id, call.name, ""))
        call_id, name, arguments = seen.calls[call.index]
        seen.calls[call.index] = call_id, name, arguments + call.arguments_json


def start_after(messages: Sequence[pb.GenerateResponse] | Sequence[pb.ChatResponse]) -> Start:
    """Where a stream goes on of which these messages were sent."""
    seen = seen_in(messages)
    usages = [message.usage for message in messages if message.HasField("usage")]
    return Start(
        PROMPT_TOKENS,
        next_sequence=len(messages),
        usage=usages[-1] if usages else None,
        sent={index: choice.token_ids for index, choice in seen.items()},
        finished=frozenset(index for index, choice in seen.items() if choice.finish_reason),
    )


def sent_chat_choices(messages: Sequence[pb.ChatResponse]) -> dict[int, pb.SentChatChoice]:
    return {
        index: pb.SentChatChoice(
            index=index,
            token_ids=seen.token_ids,
            content_bytes=len(seen.content.encode()),
            reasoning_bytes=len(seen.reasoning.encode()),
            tool_calls=[
                pb.SentToolCall(id=call_id, arguments_bytes=len(arguments.encode()))
                for call_id, _, arguments in seen.calls
            ],
            finish_reason=seen.finish_reason,
        )
        for index, seen in seen_in(messages).items()
    }
