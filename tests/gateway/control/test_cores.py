import os
from pathlib import Path

import pytest

from gateway.control.cores import usable_cores

CORES = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("limit", "cores"), [("max 100000", CORES), ("50000 100000", 1), ("100000 100000", 1), ("9900000 100000", CORES)]
)
def test_no_more_cores_than_the_container_may_use(tmp_path: Path, limit: str, cores: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(f"{limit}\n")
    assert usable_cores(file) == cores


def test_without_a_limit_all_that_the_scheduler_gives(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "missing") == CORES
