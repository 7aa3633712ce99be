"""How long a worker could have spoken and did not: its heart has not beaten (`gateway.fleet.presence`).

One that waits for a processor is starved and not stuck: to replace it would cost its connections and win nothing. One
that is stopped does not wait, and one in an endless loop runs: their silence counts in full.
"""

from pathlib import Path

_NS_PER_S = 1e9


class Silence:
    """Asked again and again; counted in looks, so that while we do not run ourselves nobody is silent."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """Since it last spoke, without what it waited for a processor."""
        self._beats = -1
        self._waited_s = 0.0

    def look(self, beats: int, waited_s: float, interval_s: float) -> None:
        """After so long a sleep, with both counts since the worker's start."""
        new_wait_s, self._waited_s = waited_s - self._waited_s, waited_s
        has_spoken, self._beats = beats != self._beats, beats
        self.seconds = 0.0 if has_spoken else self.seconds + max(0.0, interval_s - new_wait_s)


def waited_s(pid: int) -> float:
    """Return how long a process's first thread has ever waited for a processor while it could run.

    0 where nobody counts: off Linux, or when the process has gone. proc(5) leaves the file out; its three numbers stand
    in the kernel's Documentation/scheduler/sched-stats.rst: time on a processor and in the queue (ns), time slices.
    """
    try:
        _, waited_ns, _ = Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 0.0
    return int(waited_ns) / _NS_PER_S
