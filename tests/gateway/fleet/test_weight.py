import pytest
from msgspec.structs import replace

from gateway.config import HealthSettings
from gateway.fleet.weight import effective_weight
from gateway.types import LoadReport

SETTINGS = HealthSettings()
WELL = LoadReport(0, 0, 0, 0, 7, 0, 0)


@pytest.mark.parametrize(
    ("slow_start", "load", "weight"),
    [
        (1.0, None, 2.0),
        (1.0, WELL, 2.0),
        (1.0, replace(WELL, gpu_utilization=1.0, gpu_memory_utilization=0.95), 2.0),
        (0.5, WELL, 1.0),
        (1.0, replace(WELL, gpus_throttled=1), 1.4),
        (0.5, replace(WELL, gpus_throttled=1), 0.7),
        (1.0, replace(WELL, gpu_faults=1), 0.2),
        (1.0, replace(WELL, gpu_faults=3, gpus_throttled=2), 0.2),
        (0.1, replace(WELL, gpu_faults=1), 0.1),
        (1.0, replace(WELL, ready_replicas=3), 6.0),
        (0.5, replace(WELL, ready_replicas=0), 1.0),
    ],
)
def test_less_is_asked_of_what_is_cold_hot_or_faulty(slow_start: float, load: LoadReport | None, weight: float) -> None:
    assert effective_weight(2.0, slow_start, load, SETTINGS) == pytest.approx(weight)


def test_changes_in_few_steps_because_each_is_told_to_all_workers() -> None:
    assert len({effective_weight(1.0, share / 1000, None, SETTINGS) for share in range(1001)}) == 20
