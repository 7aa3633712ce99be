"""How many cores this process may use."""

import math
import os
from pathlib import Path

_LIMIT = Path("/sys/fs/cgroup/cpu.max")
"""Of control groups version 2, as a container sees its own: `QUOTA PERIOD` in microseconds, or `max PERIOD`."""


def usable_cores(limit: Path = _LIMIT) -> int:
    """Return the fewest of what the scheduler and the container allow; a part of a core counts as one."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = limit.read_text().split()
        return min(cores, max(1, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):
        return cores
