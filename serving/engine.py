"""What a replica needs of an engine. Engines work in token ids; text, stop strings, parsers and the contract's
messages are the service's business and the same for all of them (`serving.text`, `serving.service`)."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from inference.v1 import inference_pb2 as pb


class Ended(Enum):
    """Why an engine ended a choice. Stop strings are matched outside the engine."""

    STOP = "stop"
    """End of sequence, or a stop token: the last id of the delta. The service decides whether its text is sent."""
    LENGTH = "length"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Sampling:
    """inference.v1.SamplingParameters after defaults and range checks; see the contract for units and ranges."""

    max_tokens: int
    """Of one choice, those already sent included."""
    min_tokens: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    stop_token_ids: tuple[int, ...] = ()
    seed: int | None = None
    n: int = 1
    logprobs: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict[int, float])
    ignore_eos: bool = False
    structured_output: tuple[str, str | tuple[str, ...]] | None = None
    """One of ("json_schema", text), ("regex", text), ("grammar", text), ("choice", texts)."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One request for tokens."""

    request_id: str
    """Unique among the requests running in the engine."""
    prompt_token_ids: Sequence[int]
    sampling: Sampling
    priority: int = 0
    cache_salt: str = ""
    lora_name: str = ""
    sent: Mapping[int, Sequence[int]] = field(default_factory=dict[int, Sequence[int]])
    """Of a continued stream: for each choice the ids already sent. The engine goes on after them; they are fewer than
    `Sampling.max_tokens` and do not end with a stop token."""
    finished: frozenset[int] = frozenset()
    """Of a continued stream: choices that have ended; the engine yields nothing for them."""


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    logprob: float
    alternatives: tuple[tuple[int, float], ...]
    """(token id, logprob), best first."""


@dataclass(frozen=True, slots=True)
class TokenDelta:
    """New tokens of one choice."""

    index: int
    token_ids: Sequence[int]
    logprobs: Sequence[TokenLogprobs] = ()
    """One for each id, where asked for."""
    ended: Ended | None = None
    stop_token_id: int | None = None
    """The id in `Sampling.stop_token_ids` that ended the choice."""
    cached_tokens: int = 0
    """Prompt tokens found in the prefix cache; the same in every delta of a request."""


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """How busy the engine is, at its last step."""

    queue_depth: int
    running_requests: int
    kv_cache_utilization: float
    """Between 0 and 1."""
    uncached_waiting_tokens: int


class Decoder(Protocol):
    """Turns the ids of one choice into text, piece by piece."""

    def decode(self, token_id: int) -> str:
        """Return the text that this id completes; empty while a character is incomplete."""
        ...

    def flush(self) -> str:
        """Return what is left at the end: U+FFFD for an incomplete character, or nothing."""
        ...


class Tokenizer(Protocol):
    """The model's own."""

    def encode(self, text: str) -> list[int]:
        """Return the ids of a prompt, special tokens added."""
        ...

    def decoder(self, prompt_token_ids: Sequence[int], *, skip_special_tokens: bool) -> Decoder:
        """Return a decoder that stands at the end of the prompt."""
        ...


@dataclass(frozen=True, slots=True)
class Content:
    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    text: str


@dataclass(frozen=True, slots=True)
class ToolCallPiece:
    """`id` and `name` are set in the first piece of a call only."""

    index: int
    arguments_json: str
    id: str = ""
    name: str = ""


ChatPiece = Content | Reasoning | ToolCallPiece


class ChatParser(Protocol):
    """Splits the text of one choice into content, reasoning and tool calls. A pure function of what it was fed, so
    that a continued stream feeds it again and drops what was already sent."""

    def feed(self, text: str, token_ids: Sequence[int]) -> Sequence[ChatPiece]:
        """Take what is new of the choice; `text` may be empty."""
        ...

    def finish(self) -> Sequence[ChatPiece]:
        """Return what was held back."""
        ...


class ChatFormat(Protocol):
    """How the model takes part in conversations."""

    def render(
        self, messages: Sequence[pb.ChatMessage], tools: Sequence[pb.Tool], template_arguments_json: str
    ) -> list[int]:
        """Return the prompt's ids by the model's chat template. Raises UnsupportedField."""
        ...

    def parser(self, request: pb.ChatRequest, prompt_token_ids: Sequence[int]) -> ChatParser:
        """Return a parser for one choice. Raises UnsupportedField."""
        ...

    def constrain(self, request: pb.ChatRequest) -> tuple[str, str | tuple[str, ...]] | None:
        """Return the structured output (see Sampling) that `tool_choice` demands, if any. Raises UnsupportedField."""
        ...

    def needs_special_tokens(self, request: pb.ChatRequest) -> bool:
        """Whether the parser looks for special tokens, so that they must not be left out of the text it is fed."""
        ...


@dataclass(frozen=True, slots=True)
class EngineModel:
    """What is served."""

    name: str
    context_tokens: int
    """Prompt and output together."""
    kv_cache_tokens: int
    lora_names: tuple[str, ...] = ()
    can_embed: bool = False
    eos_token_ids: frozenset[int] = frozenset()
    """Those that end a choice unless `Sampling.ignore_eos`. A choice whose last sent id is one of them has ended, even
    if the message that said so was lost."""


class UnsupportedField(ValueError):
    """The engine cannot honour a field of the request: INVALID_ARGUMENT, naming the field."""

    def __init__(self, field_name: str, message: str) -> None:
        super().__init__(message)
        self.field_name = field_name
        self.message = message


class ContinuationImpossible(Exception):
    """The engine cannot go on from what was sent."""


class EngineOverloaded(Exception):
    """The engine's own queue is full: another replica may take the request."""


class EngineDead(Exception):
    """The engine is gone and does not come back in this process."""


class Engine(Protocol):
    """One model on one device. Built by an async factory `create(settings)` in the engine's module."""

    model: EngineModel
    tokenizer: Tokenizer
    chat: ChatFormat

    def generate(self, generation: Generation) -> AsyncGenerator[TokenDelta, None]:
        """Yield tokens as the engine makes them, until every choice has ended.

        Closing the generator aborts the request inside the engine. Raises UnsupportedField, ContinuationImpossible
        and EngineOverloaded before the first delta, EngineDead at any time.
        """
        ...

    def continues_exactly(self, generation: Generation) -> bool:
        """Whether what `generate` adds to `generation.sent` is what the first replica would have sent."""
        ...

    async def embed(self, request_id: str, token_ids: Sequence[int], dimensions: int | None) -> list[float]:
        """Return one input's vector. Raises UnsupportedField where the model cannot."""
        ...

    def load(self) -> EngineLoad:
        """Cheap: called many times a second. Raises EngineDead."""
        ...

    async def close(self) -> None: ...
