"""How long a replica would take to begin its answer, from what a view shows.

Prompts are read first come, first served: the uncached tokens ahead and the request's own, at the speed that the
replica has lately shown (`Pace`, a line fitted to its times to first token; what ran beside them is in that line). So
the prediction knows caches, queues and speeds; it does not know of preemption, or of what others send meanwhile.
"""

from collections.abc import Sequence

from gateway.policies.columns import uncached
from gateway.types import Facts, View

__all__ = ["first_token_times"]

_TOKEN_S = 1 / 10_000
"""For each prompt token, where no replica has answered yet; as the policy `slo` has it."""


def first_token_times(facts: Facts, views: Sequence[View]) -> Sequence[float]:
    """Return seconds for each view. A replica that has not answered yet is taken for the mean of the others."""
    paces = [view.pace for view in views if view.pace is not None]
    floor_s = sum([pace.floor_s for pace in paces]) / len(paces) if paces else 0.0
    token_s = sum([pace.token_s for pace in paces]) / len(paces) if paces else _TOKEN_S
    return [
        (view.pace.floor_s if view.pace else floor_s)
        + (view.pace.token_s if view.pace else token_s) * (_ahead_tokens(view) + tokens)
        for view, tokens in zip(views, uncached(facts, views), strict=True)
    ]


def _ahead_tokens(view: View) -> float:
    """Ours, or all that the replica says it has waiting: others may send to it too."""
    return max(view.prefill_tokens, view.load.uncached_waiting_tokens if view.load else 0.0)
