"""What pairs of a quiet and an attacked while say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.attacks.siege import Outcome
from benchmarks.marks import table
from benchmarks.overhead.machine import Machine

MOST_TIMES_QUIET = 2.0
_MIB = 1024 * 1024
_HEAD = ("peer", "p99 quiet, ms", "attacked, ms", "ratio (range)", "worker's core", "cut off", "failed", "grew by, MB")


@dataclass(frozen=True)
class Pair:
    """One after the other, in an order that changes."""

    quiet: Outcome
    attacked: Outcome

    @property
    def ratio(self) -> float:
        return self.attacked.latency_s(0.99) / self.quiet.latency_s(0.99)


def wrong(pairs: Mapping[str, Sequence[Pair]]) -> list[str]:
    """Return which attacks cost others an answer, or too much of their time."""
    found: list[str] = []
    for name, of_attack in pairs.items():
        failures = {failure for pair in of_attack for failure in pair.attacked.failures}
        found += [f"{name}: {failure}" for failure in sorted(failures)]
        if (ratio := median(pair.ratio for pair in of_attack)) > MOST_TIMES_QUIET:
            found.append(f"{name}: p99 is {ratio:.1f} times what it is in quiet")
    return found


def report(pairs: Mapping[str, Sequence[Pair]], machine: Machine, began_at: str) -> str:
    count = max(len(of_attack) for of_attack in pairs.values())
    how = machine.said(began_at, f"{count} pairs")
    return f"{how}\n\n" + table(_HEAD, (_row(name, of_attack) for name, of_attack in pairs.items()))


def _row(name: str, pairs: Sequence[Pair]) -> tuple[str, ...]:
    ratios = [pair.ratio for pair in pairs]
    attacked = [pair.attacked for pair in pairs]
    failed, asked = sum(len(each.failures) for each in attacked), sum(len(each.latencies_s) for each in attacked)
    return (
        name,
        f"{median(pair.quiet.latency_s(0.99) for pair in pairs) * 1e3:.1f}",
        f"{median(each.latency_s(0.99) for each in attacked) * 1e3:.1f}",
        f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})",
        f"{median(each.worker_cpu for each in attacked):.0%}",
        str(sum(each.cut_off for each in attacked)),
        f"{failed} of {failed + asked}",
        f"{max(each.rss_peak_bytes - each.rss_before_bytes for each in attacked) / _MIB:.1f}",
    )
