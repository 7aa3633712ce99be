"""What the model says to one prompt: a pure function of prompt, adapter and choice, its length known beforehand."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

from serving.engine import Ended, Sampling, UnsupportedField
from serving.engines.simulated.schema import UnsupportedSchema, example
from serving.engines.simulated.tokens import Special, as_bytes, encode
from serving.engines.simulated.words import Words

# How long it thinks before it answers, where the prompt asks for that.
_MIN_THINKING_TOKENS, _MAX_THINKING_TOKENS = 32, 96
_SCAN_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Voice:
    """What all choices of one prompt have in common."""

    key: bytes
    thinks: bool
    natural_tokens: int


def voice_of(prompt_token_ids: Sequence[int], lora_name: str, natural_tokens: int) -> Voice:
    key = blake2b(as_bytes(prompt_token_ids), key=blake2b(lora_name.encode()).digest()).digest()
    return Voice(key, prompt_token_ids[-1] == Special.THINK, natural_tokens)


class Answer:
    """One choice: thoughts where the prompt asks for them, then the structured output, or words.

    Words end by themselves, unless `ignore_eos` forbids it, after between a half and one and a half of
    `Voice.natural_tokens`: who sets no limit gets an answer and not the rest of the context.
    """

    def __init__(self, voice: Voice, index: int, sampling: Sampling) -> None:
        """Raises UnsupportedField."""
        check(sampling)
        self._key = blake2b(index.to_bytes(4, "little"), key=voice.key).digest()
        self._words = Words(self._key)
        structured = _structured(sampling, self._draw(0, 1 << 16))
        self._head = self._thoughts() if voice.thinks else []
        self._head += structured or []
        self._end_at = self._natural_end(voice, sampling, has_words=structured is None)
        self.length = sampling.max_tokens
        """Tokens in all."""
        self.ended = Ended.LENGTH
        self.stop_token_id: int | None = None
        if self._end_at is not None and self._end_at < sampling.max_tokens:
            self.length = self._end_at + 1
            self.ended = Ended.STOP
        if sampling.stop_token_ids:
            self._stop_at_first(frozenset(sampling.stop_token_ids), max(0, sampling.min_tokens - 1))

    def tokens(self, start: int, stop: int) -> list[int]:
        """Return those from position `start` up to `stop`, as far as there are any."""
        stop = min(stop, self.length)
        words_stop = stop if self._end_at is None else min(stop, self._end_at)
        tokens = self._head[start:stop]
        tokens += self._words.tokens(max(start, len(self._head)), words_stop)
        if start < stop and words_stop < stop:
            tokens.append(Special.END)
        return tokens

    def _thoughts(self) -> list[int]:
        words = self._words.tokens(0, self._draw(_MIN_THINKING_TOKENS, _MAX_THINKING_TOKENS))
        return encode("<think>") + words + encode("</think>")

    def _natural_end(self, voice: Voice, sampling: Sampling, *, has_words: bool) -> int | None:
        if sampling.ignore_eos:
            return None
        half = voice.natural_tokens // 2
        words = self._draw(half, 3 * half + 1) if has_words else 0
        return max(len(self._head) + words, sampling.min_tokens - 1)

    def _stop_at_first(self, stop_token_ids: frozenset[int], start: int) -> None:
        for chunk_start in range(start, self.length, _SCAN_TOKENS):
            for position, token_id in enumerate(self.tokens(chunk_start, chunk_start + _SCAN_TOKENS), chunk_start):
                # The end of sequence comes first, as in vLLM's check_stop.
                if token_id in stop_token_ids and position != self._end_at:
                    self.length, self.ended, self.stop_token_id = position + 1, Ended.STOP, token_id
                    return

    def _draw(self, low: int, high: int) -> int:
        return low + int.from_bytes(self._key[:8], "little") % (high - low)


def check(sampling: Sampling) -> None:
    """Raise UnsupportedField for what the simulated model cannot do.

    Its distribution has one clear peak, which it always takes: temperature, seed and what cuts off the tail change
    nothing, rightly; penalties and biases, which move the peak, would have to.
    """
    off = Sampling(max_tokens=sampling.max_tokens)
    for name in ("presence_penalty", "frequency_penalty", "repetition_penalty", "logit_bias"):
        if getattr(sampling, name) != getattr(off, name):
            raise UnsupportedField(f"sampling.{name}", "the simulated engine always takes the likeliest token")


def _structured(sampling: Sampling, draw: int) -> list[int] | None:
    if sampling.structured_output is None:
        return None
    form, content = sampling.structured_output
    match form, content:
        case "choice", tuple():
            tokens = encode(content[draw % len(content)])
        case "json_schema", str():
            try:
                tokens = encode(example(content))
            except UnsupportedSchema as error:
                raise UnsupportedField("sampling.json_schema", f"not with the simulated engine: {error}") from None
        case _:
            raise UnsupportedField(f"sampling.{form}", "the simulated engine writes choices and JSON only")
    if sampling.ignore_eos:
        raise UnsupportedField("sampling.ignore_eos", "a structured output ends where it is complete")
    if sampling.min_tokens > len(tokens) + 1:
        raise UnsupportedField("sampling.min_tokens", "the structured output is shorter")
    return tokens
