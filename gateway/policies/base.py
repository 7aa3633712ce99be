"""What a policy is. It is asked, never told: no I/O, no await, no clock but `now_s`, no dice but its own, seeded.

`Policy(rng)` makes one. Its options are keyword arguments with a type and a default, its limits in the type:

    def __init__(self, rng: Random, *, gate: Annotated[float, Meta(ge=0, le=1)] = 0.8) -> None:

One that works over another policy takes that as its second argument and is named `outer:inner`.
"""

from collections.abc import Sequence
from typing import Annotated, Protocol, runtime_checkable

from msgspec import Meta

from gateway.errors import Refused
from gateway.types import Facts, View, Wait

__all__ = ["AtLeastOne", "Fraction", "LoadPolicy", "NarrowingPolicy", "OuterPolicy", "Policy", "Positive"]

Fraction = Annotated[float, Meta(ge=0, le=1)]
Positive = Annotated[float, Meta(gt=0)]
AtLeastOne = Annotated[float, Meta(ge=1)]


class Policy(Protocol):
    """Chooses a replica for one request."""

    def pick(self, facts: Facts, views: Sequence[View], now_s: float) -> View | Wait | Refused:
        """Return one of `views` (never empty, in a stable order), or say that the request must wait or is refused.

        `now_s` is the monotonic clock. The same seed, views and calls give the same choices.
        """
        ...


@runtime_checkable
class LoadPolicy(Policy, Protocol):
    """Compares candidates by one number each, which others can use and an operator can be shown."""

    def load(self, facts: Facts, view: View, now_s: float) -> float:
        """Return how busy the replica would be with the request: less is better. It reads, and changes nothing."""
        ...


@runtime_checkable
class NarrowingPolicy(Policy, Protocol):
    """Picks among some of the candidates. What it does is shown where a decision is explained."""

    left_out: str
    """Why it passes the others over, in a few words."""

    def narrow(self, facts: Facts, views: Sequence[View], now_s: float) -> Sequence[View]:
        """Return those among which `pick` would choose; the others are `left_out`."""
        ...


@runtime_checkable
class OuterPolicy(Policy, Protocol):
    """Leaves the choice among those that it keeps to another policy."""

    inner: Policy
