"""Where weights come from. One that is not known yet is taken for the mean of those that are."""

from collections.abc import Sequence
from math import inf

from gateway.policies.columns import column, weights
from gateway.types import View

__all__ = ["reported", "settled", "throughput"]

_EXPIRES_S = 180.0
"""gRFC A58, `weight_expiration_period`."""
_ERROR_PENALTY = 1.0
"""gRFC A58, `error_utilization_penalty`."""


def settled(views: Sequence[View], now_s: float) -> Sequence[float]:
    """Those of the settings, lowered while a replica starts or is unwell."""
    return weights(views)


def reported(views: Sequence[View], now_s: float) -> Sequence[float]:
    """Requests a second that the replica would answer at full utilization, by its own report (gRFC A58)."""
    speeds = column(views, _at_full_utilization)
    if min(column(views, _received_at)) < now_s - _EXPIRES_S:
        oldest_at = now_s - _EXPIRES_S
        speeds = [speed if _received_at(view) >= oldest_at else 0.0 for view, speed in zip(views, speeds, strict=True)]
    return _known(views, speeds)


def throughput(views: Sequence[View], now_s: float) -> Sequence[float]:
    """Tokens a second that the replica gives one request, as measured here: the more it has to do the fewer, so that
    weights settle where all are as fast."""
    return _known(views, column(views, _tokens_per_s))


def _tokens_per_s(view: View) -> float:
    return view.pace.tokens_per_s if view.pace else 0.0


def _received_at(view: View) -> float:
    return view.load.received_at if view.load else inf


def _at_full_utilization(view: View) -> float:
    load = view.load
    if load is None or load.requests_per_s <= 0:
        return 0.0
    utilization = load.utilization + load.errors_per_s / load.requests_per_s * _ERROR_PENALTY
    return load.requests_per_s / utilization if utilization > 0 else 0.0


def _known(views: Sequence[View], speeds: Sequence[float]) -> Sequence[float]:
    known = len(speeds) - speeds.count(0.0)
    if not known:
        return weights(views)
    mean = sum(speeds) / known
    return [weight * ((speed or mean) / mean) for weight, speed in zip(weights(views), speeds, strict=True)]
