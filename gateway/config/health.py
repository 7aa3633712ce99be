"""Settings of readiness: see docs/readiness.md."""

from typing import Annotated

from msgspec import Meta

from gateway.config.base import PositiveInt, PositiveSeconds, Seconds, Strict

Share = Annotated[float, Meta(ge=0, le=1)]
PositiveShare = Annotated[float, Meta(gt=0, le=1)]


class HealthSettings(Strict, frozen=True):
    """When a replica gets no requests, or fewer."""

    failures: PositiveInt = 5
    """So many failed attempts in a row eject it."""
    ejection_s: PositiveSeconds = 30.0
    """For how long, the first time; as long again for each time after it."""
    ejection_max_s: PositiveSeconds = 300.0
    """And no longer. After as long without another, ejections are forgotten."""
    ejected_share: Share = 0.5
    """Of the fleet, at most so much is ejected at a time; one replica always may be."""
    panic_share: Share = 0.5
    """With less than this of a model's replicas ready, suspect and ejected ones are used as well. 0: never."""
    stall_s: PositiveSeconds = 10.0
    """It is suspect where its streams have brought nothing for so long, and for the time that follows."""
    stall_per_token_s: Annotated[float, Meta(ge=0, le=10)] = 0.002
    """For each prompt token that is in flight there or reported as waiting: the slowest prefill that is no failure."""
    suspect_s: PositiveSeconds = 10.0
    """It is ejected where nothing has come for so long since it was found silent."""
    slow_start_s: Seconds = 10.0
    """A replica that becomes ready gets a tenth of its weight, and all of it after this time. 0: all at once."""
    gpu_throttled_weight: PositiveShare = 0.7
    """What is left of its weight while heat or power brakes slow a GPU of it."""
    gpu_faulty_weight: PositiveShare = 0.1
    """What is left once a GPU of it had an uncorrected memory error or a critical XID event, or was lost."""

    def __post_init__(self) -> None:
        if self.ejection_max_s < self.ejection_s:
            raise ValueError("ejection_max_s: below ejection_s")
