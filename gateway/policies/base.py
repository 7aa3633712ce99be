"""What a policy is. It is asked, never told: no I/O, no await, no clock but `now_s`, no dice but its own, seeded."""

from collections.abc import Sequence
from typing import Protocol

from gateway.errors import Refused
from gateway.types import Facts, View, Wait


class Policy(Protocol):
    """Chooses a replica for one request."""

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View | Wait | Refused:
        """Return one of `views` (never empty, in a stable order), or say that the request must wait or is refused.

        `now_s` is the monotonic clock. The same seed, views and calls give the same choices.
        """
        ...
