"""Logprobs of a model that is sure of itself. A pure function of the token and where it stands, so that a value beside
the wrong token is seen."""

from math import log

from serving.engine import TokenLogprobs
from serving.engines.simulated.words import PHRASES

_OTHERS = sorted({phrase[0] for phrase in PHRASES})


def logprobs_of(token_id: int, position: int, alternatives: int) -> TokenLogprobs:
    """Return the token's own and those of the likeliest, itself the first. The probabilities sum to less than 1."""
    probability = 0.9 + (token_id * 31 + position) % 997 / 10_000
    first = log(probability)
    others = [other for other in _OTHERS[: alternatives + 1] if other != token_id][: max(0, alternatives - 1)]
    rest = [(other, log((1 - probability) / 2**rank)) for rank, other in enumerate(others, 1)]
    return TokenLogprobs(first, ((token_id, first), *rest) if alternatives else ())
