"""What the simulated engine answers, without any wire: whatever arrives otherwise was changed on its way."""

from collections.abc import Sequence
from typing import NamedTuple

from serving.engine import Sampling
from serving.engines.simulated.answer import Answer, voice_of
from serving.engines.simulated.settings import SimulatedSettings
from serving.engines.simulated.tokens import SimulatedTokenizer

TOKENIZER = SimulatedTokenizer()


class Expected(NamedTuple):
    token_ids: list[int]
    text: str


def answer_to(prompt: str | Sequence[int], max_tokens: int, index: int = 0) -> Expected:
    """Return choice `index` of a request with these `max_tokens` and ignore_eos."""
    prompt_token_ids = TOKENIZER.encode(prompt) if isinstance(prompt, str) else prompt
    voice = voice_of(prompt_token_ids, "", SimulatedSettings().natural_tokens)
    token_ids = Answer(voice, index, Sampling(max_tokens=max_tokens, ignore_eos=True)).tokens(0, max_tokens)
    decoder = TOKENIZER.decoder(prompt_token_ids, skip_special_tokens=True)
    return Expected(token_ids, "".join(map(decoder.decode, token_ids)) + decoder.flush())
