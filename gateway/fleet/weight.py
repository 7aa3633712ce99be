"""What a replica's weight is worth now."""

from gateway.config import HealthSettings
from gateway.types import LoadReport

__all__ = ["effective_weight"]

_STEPS = 20
"""Each step is news for all workers."""


def effective_weight(weight: float, slow_start: float, load: LoadReport | None, settings: HealthSettings) -> float:
    """Return the configured weight, less what the slow start holds back and what its GPUs give reason to fear; of a
    gateway that stands there as a replica, for each of those that it has ready."""
    gpus = 1.0
    replicas = max(1.0, load.ready_replicas) if load is not None else 1.0
    if load is not None and load.gpu_faults:
        gpus = settings.gpu_faulty_weight
    elif load is not None and load.gpus_throttled:
        # One slow GPU slows all that share its work, so a share of them is no share of the speed.
        gpus = settings.gpu_throttled_weight
    return weight * replicas * max(1, round(slow_start * gpus * _STEPS)) / _STEPS
