"""A model whose tokens are easy to write down, and an engine that says what a test tells it to."""

import asyncio
import codecs
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from inference.v1 import inference_pb2 as pb
from serving.engine import (
    ChatFormat,
    ChatPiece,
    Content,
    Ended,
    EngineLoad,
    EngineModel,
    Generation,
    Reasoning,
    TokenDelta,
    Tokenizer,
    TokenLogprobs,
    ToolCallPiece,
    UnsupportedField,
)

EOS = 256
WORDS: Mapping[int, bytes] = {
    300: b"stop",
    301: b"st",
    302: b"op",
    303: "é€".encode(),
    304: b"ab ab",
    305: b"[a",
    306: b"}x",
}
"""All other ids below 256 are one byte each."""

MODEL = EngineModel("fake", context_tokens=1000, kv_cache_tokens=5000, can_embed=True, eos_token_ids=frozenset({EOS}))


class FakeDecoder:
    def __init__(self, *, skip_special_tokens: bool = True) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._eos = b"" if skip_special_tokens else b"</s>"

    def decode(self, token_id: int) -> str:
        piece = self._eos if token_id == EOS else WORDS.get(token_id) or bytes([token_id])
        return self._decoder.decode(piece)

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)


class FakeTokenizer:
    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decoder(self, prompt_token_ids: Sequence[int], *, skip_special_tokens: bool) -> FakeDecoder:
        return FakeDecoder(skip_special_tokens=skip_special_tokens)


class FakeParser:
    """`[` begins reasoning and `]` ends it; `{` begins a call of the tool named by the next character, `}` ends it.
    A space is held back until it is known what follows."""

    def __init__(self) -> None:
        self._state = "content"
        self._calls = 0
        self._held = ""

    def feed(self, text: str, token_ids: Sequence[int]) -> Sequence[ChatPiece]:
        return [piece for character in text for piece in self._take(character)]

    def finish(self) -> Sequence[ChatPiece]:
        return [self._piece(self._held)] if self._held else []

    def _take(self, character: str) -> Iterable[ChatPiece]:
        if character == " ":
            self._held += character
            return
        if self._state != "name" and self._held:
            yield self._piece(self._held)
            self._held = ""
        if self._state == "name":
            self._state = "arguments"
            self._calls += 1
            yield ToolCallPiece(self._calls - 1, "", f"call-{self._calls - 1}", character)
        elif character in "[{":
            self._state = "reasoning" if character == "[" else "name"
        elif character in "]}":
            self._state = "content"
        else:
            yield self._piece(character)

    def _piece(self, text: str) -> ChatPiece:
        if self._state == "arguments":
            return ToolCallPiece(self._calls - 1, text)
        return Reasoning(text) if self._state == "reasoning" else Content(text)


class FakeChatFormat:
    """Renders the text of all messages, one after the other."""

    def render(
        self, messages: Sequence[pb.ChatMessage], tools: Sequence[pb.Tool], template_arguments_json: str
    ) -> list[int]:
        if template_arguments_json == "unsupported":
            raise UnsupportedField("template_arguments_json", "not here")
        return list("".join(part.text for message in messages for part in message.parts).encode())

    def parser(self, request: pb.ChatRequest, prompt_token_ids: Sequence[int]) -> FakeParser:
        return FakeParser()

    def constrain(self, request: pb.ChatRequest) -> tuple[str, str | tuple[str, ...]] | None:
        is_required = request.tool_choice.mode == pb.ToolChoice.MODE_REQUIRED
        return ("json_schema", '{"type": "object"}') if is_required else None

    def needs_special_tokens(self, request: pb.ChatRequest) -> bool:
        return bool(request.tools)


@dataclass(frozen=True)
class Answer:
    """What one choice says: all its ids, and how many come in each delta (the last size repeats)."""

    token_ids: Sequence[int]
    ended: Ended = Ended.LENGTH
    sizes: Sequence[int] = (1,)

    @staticmethod
    def of(text: str, ended: Ended = Ended.LENGTH) -> "Answer":
        return Answer([*text.encode(), *([EOS] if ended is Ended.STOP else [])], ended)

    def deltas(self, index: int, sent: int = 0, cached_tokens: int = 0) -> Iterable[TokenDelta]:
        """Yield what follows the first `sent` ids."""
        sizes = iter(self.sizes)
        size = 1
        while sent < len(self.token_ids):
            size = next(sizes, size)
            ids = self.token_ids[sent : sent + size]
            sent += len(ids)
            ended = self.ended if sent == len(self.token_ids) else None
            stop_token_id = ids[-1] if ended is Ended.STOP and ids[-1] != EOS else None
            logprobs = [TokenLogprobs(-1.0 - token_id, ((token_id, -1.0),)) for token_id in ids]
            yield TokenDelta(index, ids, logprobs, ended, stop_token_id, cached_tokens)


@dataclass
class FakeEngine:
    """Answers every request with `answers`, one for each choice."""

    answers: Sequence[Answer] = field(default_factory=lambda: [Answer.of("hello")])
    model: EngineModel = MODEL
    tokenizer: Tokenizer = field(default_factory=FakeTokenizer)
    chat: ChatFormat = field(default_factory=FakeChatFormat)
    failure: Exception | None = None
    """Raised in place of the first delta."""
    fails_after: int = 0
    """How many deltas come before the failure."""
    is_exact: bool = True
    queue: EngineLoad = field(default_factory=lambda: EngineLoad(0, 0, 0.25, 0))
    load_failure: Exception | None = None
    on_close: Callable[[], object] = lambda: None
    """Called when a generator is closed."""
    cached_tokens: int = 0
    seen: list[Generation] = field(default_factory=list[Generation])
    closed: int = 0
    """Generators that were closed, for whatever reason."""
    is_closed: bool = False
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a generator was closed."""
    hold: asyncio.Event | None = None
    """Where set, every delta but the first waits for it."""

    async def generate(self, generation: Generation) -> AsyncGenerator[TokenDelta, None]:
        self.seen.append(generation)
        try:
            for position, delta in enumerate(self._deltas(generation)):
                if self.failure is not None and position == self.fails_after:
                    raise self.failure
                if self.hold is not None and position:
                    await self.hold.wait()
                await asyncio.sleep(0)
                yield delta
        finally:
            self.on_close()
            self.closed += 1
            self.released.set()

    def _deltas(self, generation: Generation) -> Iterable[TokenDelta]:
        for index, answer in enumerate(self.answers[: generation.sampling.n]):
            if index not in generation.finished:
                cut = Answer(answer.token_ids[: generation.sampling.max_tokens], answer.ended, answer.sizes)
                yield from cut.deltas(index, len(generation.sent.get(index, ())), self.cached_tokens)

    def continues_exactly(self, generation: Generation) -> bool:
        return self.is_exact and generation.sampling.structured_output is None

    async def embed(self, request_id: str, token_ids: Sequence[int], dimensions: int | None) -> list[float]:
        if dimensions is not None:
            raise UnsupportedField("dimensions", "the model's vectors have one length")
        return [float(len(token_ids)), 1.0]

    def load(self) -> EngineLoad:
        if self.load_failure is not None:
            raise self.load_failure
        return self.queue

    async def close(self) -> None:
        self.is_closed = True
