"""Which cores, how much memory, and who else was busy."""

import os
import platform
import re
import resource
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

_TICKS = os.sysconf("SC_CLK_TCK")


class Memory(Struct, frozen=True):
    """Of one process, in bytes."""

    rss: int
    pss: int
    """RSS, but what several processes share is divided among them."""


class Cores(Struct, frozen=True):
    proxy: int
    """For the peer that is measured, alone."""
    others: frozenset[int]
    """For agents and replicas; the same core where there is one only."""


class Machine(Struct, frozen=True):
    """Where a run took place."""

    cpu: str
    cores: int
    kernel: str
    busy_with_others: float
    """The share of all cores that other processes took during the run."""
    stolen: float = 0.0
    """The share that the host of a virtual machine took: what runs stands still meanwhile."""
    python: str = ""

    def said(self, began_at: str, runs: str) -> str:
        """Return when, where, how often and how undisturbed a benchmark ran: the line above its tables."""
        place = f"{self.cores} cores of {self.cpu}, Linux {self.kernel}" + (self.python and f", Python {self.python}")
        others = (
            f"Other processes took {self.busy_with_others:.0%} of the machine meanwhile, the host {self.stolen:.1%}."
        )
        return f"{began_at}, {place}, {runs}. {others}"


def cores() -> Cores:
    """Return the last core for the proxy: interrupts tend to be served by the first."""
    *others, proxy = sorted(os.sched_getaffinity(0))
    return Cores(proxy, frozenset(others or [proxy]))


@contextmanager
def pinned(cpus: set[int] | frozenset[int]) -> Generator[None]:
    """What is started meanwhile stays on these cores, with all its threads and children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def memory(pid: int) -> Memory:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    found = {name: int(kib) * 1024 for name, kib in re.findall(r"^(Rss|Pss): +(\d+) kB", text, re.MULTILINE)}
    return Memory(found["Rss"], found["Pss"])


def allow_many_descriptors() -> None:
    """Raise the soft limit to the hard one; what is started later inherits it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Watch:
    """How busy the machine was with others, from here on. What we started counts once it has ended."""

    def __init__(self) -> None:
        self._busy_s, self._stolen_s, self._all_s = _busy_stolen_and_all_s()
        self._own_s = _own_s()
        self.began_at = datetime.now(UTC).isoformat(timespec="seconds")

    def stolen(self) -> float:
        """Return the share of the machine that the host has taken."""
        _, stolen_s, all_s = _busy_stolen_and_all_s()
        return (stolen_s - self._stolen_s) / max(all_s - self._all_s, 1 / _TICKS)

    def machine(self) -> Machine:
        busy_s, _, all_s = _busy_stolen_and_all_s()
        others_s = busy_s - self._busy_s - (_own_s() - self._own_s)
        passed_s = max(all_s - self._all_s, 1 / _TICKS)
        return Machine(
            cpu=_cpu_name(),
            cores=os.cpu_count() or 1,
            kernel=os.uname().release.split("-")[0],
            busy_with_others=max(0.0, others_s / passed_s),
            stolen=self.stolen(),
            python=f"{platform.python_version()} ({platform.python_compiler()})",
        )


def _busy_stolen_and_all_s() -> tuple[float, float, float]:
    """Return the time of all cores since the start: of processes, of the host, and in all."""
    fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    # user nice system idle iowait irq softirq steal (proc_stat(5))
    *_, idle, waiting, _, _, stolen = fields
    return (sum(fields) - idle - waiting - stolen) / _TICKS, stolen / _TICKS, sum(fields) / _TICKS


def _own_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _cpu_name() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else os.uname().machine
