from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.cluster import Cluster, Plan
from benchmarks.processes import Processes

SIMULATED = ("--engine", "simulated", "--speedup", "20")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A gateway in front of three simulated replicas."""
    with Processes(tmp_path) as processes:
        made = Cluster(processes, Plan(replicas=3, model="m", engine_arguments=SIMULATED), tmp_path)
        made.start()
        yield made
