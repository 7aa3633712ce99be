"""`random`: any replica, each as likely. The measure for all others."""

import random
from collections.abc import Sequence

from gateway.types import Facts, View

__all__ = ["RandomChoice"]


class RandomChoice:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View:
        return self._rng.choice(views)
