"""From token ids to the text of one choice. Pure: the same ids give the same text and the same end, however they were
cut into deltas, so that a replica can rebuild another's state by feeding it the ids already sent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inference.v1 import inference_pb2 as pb
from serving.engine import ContinuationImpossible, Decoder, Ended, Sampling, TokenDelta


@dataclass(frozen=True, slots=True)
class TextRules:
    """What SamplingParameters asks of the text; engines do not see it."""

    stop_strings: tuple[str, ...] = ()
    include_stop_string: bool = False
    skip_special_tokens: bool = True


@dataclass(frozen=True, slots=True)
class Finish:
    """Why a choice has ended."""

    reason: pb.FinishReason.ValueType
    stop_string: str | None = None
    stop_token_id: int | None = None


class Step(NamedTuple):
    """What some ids add to a choice."""

    token_ids: Sequence[int]
    """None beyond the one that completed a stop string."""
    texts: Sequence[str]
    """What each of them released."""
    rest: str = ""
    """What the end released."""
    finish: Finish | None = None


class StopStrings:
    """Finds the stop string that is completed first, ties in the order given, and holds back what may become one.

    The same choice as vLLM's `check_stop_strings`, which however holds back a fixed number of characters.
    """

    def __init__(self, stop_strings: Sequence[str], *, include: bool) -> None:
        self.matched: str | None = None
        self._stop_strings = stop_strings
        self._longest = max(map(len, stop_strings), default=0)
        self._include = include
        # The longest end of the text that is a beginning of a stop string. A string that is still to be completed
        # begins there or later. It is held back, unless it belongs to the text either way (`include`).
        self._tail = ""

    def feed(self, text: str, *, can_stop: bool) -> str:
        """Return the text released. After a match (`matched`) there is nothing more to feed."""
        window = self._tail + text
        sent = len(self._tail) if self._include else 0
        if can_stop:
            start, end = self._find(window)
            if end:
                return window[sent:end] if self._include else window[:start]
        self._tail = self._beginning(window)
        return window[sent : None if self._include else len(window) - len(self._tail)]

    def flush(self) -> str:
        """Return what is held back, at the end of the text."""
        return "" if self._include else self._tail

    def _find(self, window: str) -> tuple[int, int]:
        first = 0, 0
        for stop_string in self._stop_strings:
            start = window.find(stop_string, max(0, len(self._tail) - len(stop_string) + 1))
            end = start + len(stop_string)
            if start >= 0 and (not first[1] or end < first[1]):
                first = start, end
                self.matched = stop_string
        return first

    def _beginning(self, window: str) -> str:
        for start in range(max(0, len(window) - self._longest + 1), len(window)):
            tail = window[start:]
            if any(stop_string.startswith(tail) for stop_string in self._stop_strings):
                return tail
        return ""


class Transcript:
    """One choice: its decoder, its stop strings and how far it got."""

    def __init__(
        self, decoder: Decoder, sampling: Sampling, rules: TextRules, eos_token_ids: frozenset[int] = frozenset()
    ) -> None:
        self.tokens = 0
        self.finish: Finish | None = None
        self._decoder = decoder
        self._stops = StopStrings(rules.stop_strings, include=rules.include_stop_string) if rules.stop_strings else None
        self._sampling = sampling
        # As vLLM: what ended a choice is in its text for stop strings and stop tokens alike, or for neither.
        self._decodes_last = rules.include_stop_string
        self._eos_token_ids = frozenset[int]() if sampling.ignore_eos else eos_token_ids

    def replay(self, token_ids: Sequence[int]) -> Step:
        """Take the ids that were sent. They may prove to be all: the message that said so was lost."""
        return self._advance(token_ids, self._finish_after(token_ids))

    def advance(self, delta: TokenDelta) -> Step:
        """Take what the engine made."""
        return self._advance(
            delta.token_ids, None if delta.ended is None else _finish(delta.ended, delta.stop_token_id)
        )

    def _advance(self, token_ids: Sequence[int], finish: Finish | None) -> Step:
        has_stop_token = finish is not None and finish.reason == pb.FINISH_REASON_STOP
        decoded = token_ids[:-1] if has_stop_token and not self._decodes_last else token_ids
        texts: list[str] = []
        for token_id in decoded:
            self.tokens += 1
            texts.append(self._release(self._decoder.decode(token_id)))
            if self._stops is not None and self._stops.matched is not None:
                self.finish = Finish(pb.FINISH_REASON_STOP, stop_string=self._stops.matched)
                return Step(token_ids[: len(texts)], texts, finish=self.finish)
        if finish is None:
            return Step(token_ids, texts)
        self.finish = finish
        if len(decoded) < len(token_ids):
            self.tokens += 1
            texts.append("")
        held = "" if self._stops is None else self._stops.flush()
        return Step(token_ids, texts, held + self._decoder.flush(), finish)

    def _release(self, text: str) -> str:
        if self._stops is None or not text:
            return text
        # As vLLM: what is completed by one of the first `min_tokens` tokens does not count.
        return self._stops.feed(text, can_stop=self.tokens > self._sampling.min_tokens)

    def _finish_after(self, token_ids: Sequence[int]) -> Finish | None:
        sampling = self._sampling
        if token_ids and len(token_ids) >= sampling.min_tokens:
            if token_ids[-1] in self._eos_token_ids:
                return Finish(pb.FINISH_REASON_STOP)
            if token_ids[-1] in sampling.stop_token_ids:
                return Finish(pb.FINISH_REASON_STOP, stop_token_id=token_ids[-1])
        return Finish(pb.FINISH_REASON_LENGTH) if len(token_ids) >= sampling.max_tokens else None


_REASONS: dict[Ended, pb.FinishReason.ValueType] = {
    Ended.STOP: pb.FINISH_REASON_STOP,
    Ended.LENGTH: pb.FINISH_REASON_LENGTH,
    Ended.ABORT: pb.FINISH_REASON_ABORT,
}


def _finish(ended: Ended, stop_token_id: int | None) -> Finish:
    return Finish(_REASONS[ended], stop_token_id=stop_token_id)


class Unsent:
    """Drops from the beginning of a text what was already sent of it."""

    def __init__(self, sent_bytes: int) -> None:
        self._sent_bytes = sent_bytes

    def take(self, text: str) -> str:
        """Return what of the next piece is new. Raises ContinuationImpossible where what was sent ends inside a
        character."""
        if not self._sent_bytes:
            return text
        piece = text.encode()
        new = piece[self._sent_bytes :]
        self._sent_bytes -= len(piece) - len(new)
        try:
            return new.decode()
        except UnicodeDecodeError:
            raise ContinuationImpossible("the text sent ends inside a character that its ids give") from None
