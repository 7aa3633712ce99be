"""How long a connection of an agent may last: agents that have to come anew spread anew, over workers and gateways."""

import math
import random

from gateway.config import AgentConnectionSettings


class Age:
    """Of one connection that began at `began_at` (monotonic, seconds)."""

    __slots__ = ("_drain_at", "_end_at")

    def __init__(self, settings: AgentConnectionSettings, began_at: float, rng: random.Random) -> None:
        spread = rng.uniform(1 - settings.max_age_jitter, 1 + settings.max_age_jitter)
        max_age_s, grace_s = settings.max_age_s, settings.max_age_grace_s
        self._drain_at = math.inf if max_age_s is None else began_at + max_age_s * spread
        self._end_at = math.inf if grace_s is None else self._drain_at + grace_s

    def is_old(self, now_s: float) -> bool:
        """Whether it should take no new streams any more."""
        return now_s >= self._drain_at

    def is_over(self, now_s: float) -> bool:
        """Whether its streams have had their time to end, too."""
        return now_s >= self._end_at
