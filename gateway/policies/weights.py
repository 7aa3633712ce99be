"""Where weights come from. One that is not known yet is taken for the mean of those that are."""

from collections.abc import Sequence

from gateway.types import LoadReport, View

__all__ = ["reported", "settled", "throughput"]

_EXPIRES_S = 180.0
"""gRFC A58, `weight_expiration_period`."""
_ERROR_PENALTY = 1.0
"""gRFC A58, `error_utilization_penalty`."""


def settled(views: Sequence[View], now_s: float) -> Sequence[float]:
    """Those of the settings, lowered while a replica starts or is unwell."""
    return [view.weight for view in views]


def reported(views: Sequence[View], now_s: float) -> Sequence[float]:
    """Requests a second that the replica would answer at full utilization, by its own report (gRFC A58)."""
    return _known(views, [_at_full_utilization(view.load, now_s) for view in views])


def throughput(views: Sequence[View], now_s: float) -> Sequence[float]:
    """Tokens a second that the replica gives one request, as measured here: the more it has to do the fewer, so that
    weights settle where all are as fast."""
    return _known(views, [view.pace.tokens_per_s if view.pace else 0.0 for view in views])


def _at_full_utilization(load: LoadReport | None, now_s: float) -> float:
    if load is None or load.requests_per_s <= 0 or now_s - load.received_at > _EXPIRES_S:
        return 0.0
    utilization = load.utilization + load.errors_per_s / load.requests_per_s * _ERROR_PENALTY
    return load.requests_per_s / utilization if utilization > 0 else 0.0


def _known(views: Sequence[View], speeds: Sequence[float]) -> Sequence[float]:
    known = [speed for speed in speeds if speed > 0]
    mean = sum(known) / len(known) if known else 1.0
    return [view.weight * (speed if speed > 0 else mean) / mean for view, speed in zip(views, speeds, strict=True)]
