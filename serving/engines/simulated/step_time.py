"""How long one step of the engine takes."""

from dataclasses import dataclass
from typing import NamedTuple


class Batch(NamedTuple):
    """What one step computes."""

    decoding: int
    """Requests that compute one token."""
    context_tokens: int
    """Tokens that those attend to, their own included."""
    prefill_tokens: int


@dataclass(frozen=True, slots=True)
class StepTime:
    """Linear in what the step computes: reading the weights, one sequence more, reading the KV cache, prefill.

    Attention of prefill tokens to each other is left out: it is an eighth of the linear layers' work at 8,000 tokens of
    an 8B model, and grows with the prompt.
    """

    fixed_s: float
    per_decoding_s: float
    per_context_token_s: float
    per_prefill_token_s: float

    def duration_s(self, batch: Batch) -> float:
        return (
            self.fixed_s
            + self.per_decoding_s * batch.decoding
            + self.per_context_token_s * batch.context_tokens
            + self.per_prefill_token_s * batch.prefill_tokens
        )
