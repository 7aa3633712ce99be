"""What streams bring, piece by piece (deltas) and assembled (Completion, Reply)."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.client.messages import Message, ToolCall


class FinishReason(StrEnum):
    """Why a choice has ended."""

    STOP = "stop"
    """A stop string, a stop token or the end of sequence."""
    LENGTH = "length"
    """`max_tokens`, or the model's context is full."""
    TOOL_CALLS = "tool_calls"
    """The model waits for the results of its tool calls. Chat only."""
    ABORT = "abort"
    """Ended from outside, by an operator or the engine."""
    UNKNOWN = "unknown"
    """The server gave a reason that is younger than this client."""


@dataclass(frozen=True, slots=True)
class Usage:
    prompt_tokens: int
    cached_tokens: int
    """Of prompt_tokens, those whose KV blocks the replica already had."""
    completion_tokens: int
    """Over all choices."""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    logprob: float
    """Natural logarithm, at most 0."""
    alternatives: tuple[tuple[int, float], ...]
    """(token id, logprob), best first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What is new of one choice: the part that Generate and Chat share."""

    sequence: int
    """Counts the messages of the stream from 0."""
    index: int
    """Which choice, from 0."""
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...]
    """One for each of token_ids, where asked for."""
    finish_reason: FinishReason | None
    """Set in the last delta of each choice."""
    matched_stop: str | int | None
    """The stop string or stop token that ended the choice."""
    usage: Usage | None
    """Set in the first delta (prompt and cached tokens) and in the last one of the stream (all)."""
    continued_inexactly: bool
    """Another replica goes on from here with a valid answer that the first one need not have given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateDelta(Delta):
    text: str
    """May be empty while a character or a possible stop string is incomplete."""


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    index: int
    """Which call of this choice, from 0."""
    id: str
    """With the first delta of the call only."""
    name: str
    """With the first delta of the call only."""
    arguments_json: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatDelta(Delta):
    """At most one of content, reasoning and tool_call is set."""

    content: str
    reasoning: str
    tool_call: ToolCallDelta | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One assembled choice of a Generate."""

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...]
    finish_reason: FinishReason
    matched_stop: str | int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """All that a Generate brought. The properties speak of the first choice."""

    choices: tuple[Choice, ...]
    """In order of their index; one unless `n` asked for more."""
    usage: Usage
    continued_inexactly: bool

    @property
    def text(self) -> str:
        return self.choices[0].text

    @property
    def token_ids(self) -> tuple[int, ...]:
        return self.choices[0].token_ids

    @property
    def finish_reason(self) -> FinishReason:
        return self.choices[0].finish_reason


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyChoice:
    """One assembled choice of a Chat."""

    message: Message
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...]
    finish_reason: FinishReason
    matched_stop: str | int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """All that a Chat brought. The properties speak of the first choice."""

    choices: tuple[ReplyChoice, ...]
    """In order of their index; one unless `n` asked for more."""
    usage: Usage
    continued_inexactly: bool

    @property
    def message(self) -> Message:
        """The assistant's message: append it to the conversation for the next turn."""
        return self.choices[0].message

    @property
    def content(self) -> str:
        content = self.message.content
        assert isinstance(content, str), "models answer with text"
        return content

    @property
    def reasoning(self) -> str:
        return self.message.reasoning

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(self.message.tool_calls)

    @property
    def finish_reason(self) -> FinishReason:
        return self.choices[0].finish_reason


@dataclass(frozen=True, slots=True)
class Embeddings:
    vectors: tuple[tuple[float, ...], ...]
    """In the order of the inputs."""
    usage: Usage


@dataclass(frozen=True, slots=True)
class Tokens:
    token_ids: tuple[int, ...]
    context_tokens: int
    """Of the model: prompt and output together."""


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    context_tokens: int
    """Prompt and output together. 0: not known."""
    lora_names: tuple[str, ...]
    kv_cache_tokens: int
    """KV cache of one replica; the largest, where replicas differ. 0: not known."""
    ready_replicas: int
    """Replicas that are ready to serve it."""
