"""What a process counts, by name and labels.

Each process has one `Registry`; control asks workers for their `dump`, merges them, and exposes the sum.
"""

import os
import resource
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Generic, TypeVar

from msgspec import Struct

from gateway.instruments import Counter, Gauge, Histogram

OTHER = "other"
"""The label value of what is not known by name: labels never come from the wire unchecked."""

CHILDREN_MAX = 10_000
"""Of one family; label values beyond that are counted under `OTHER`."""

LIMITS_HIT = (
    "inference_gateway_limits_hit_total",
    "Requests refused, streams and connections ended by settings.limits.",
    "limit",
)
"""A counter that control has as well as each worker."""

# Semantic conventions of gen_ai.server.time_to_first_token, which ends at 10 s; a queued or long prefill takes longer.
TIME_TO_FIRST_TOKEN_BOUNDS_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0),
)
# Those of gen_ai.server.request.duration, and on: an agent's request may run for minutes.
REQUEST_BOUNDS_S = (
    *(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
    *(163.84, 327.68, 655.36),
)
# Those of gen_ai.server.time_per_output_token, which begins at 10 ms; small models are faster.
INTER_TOKEN_BOUNDS_S = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)


class Kind(StrEnum):
    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Sample(Struct, array_like=True):
    labels: tuple[str, ...]
    values: list[float]
    """Of a counter or gauge: one. Of a histogram: what fell into each bucket, above the last, and the sum."""


class Family(Struct, array_like=True):
    name: str
    kind: Kind
    help: str
    label_names: tuple[str, ...]
    bounds: tuple[float, ...]
    """Upper bounds of a histogram's buckets, inclusive."""
    samples: list[Sample]


Child = TypeVar("Child", Counter, Gauge, Histogram)


class Metric(Generic[Child]):
    """One family. Keep the children of the hot path in hand: `child` is a dictionary look-up."""

    def __init__(self, family: Family, make: Callable[[], Child]) -> None:
        self._family = family
        self._make = make
        self._children: dict[tuple[str, ...], Child] = {}

    def child(self, *labels: str) -> Child:
        """Return the one for these label values, made at its first use."""
        child = self._children.get(labels)
        return child if child is not None else self._new(labels)

    def _new(self, labels: tuple[str, ...]) -> Child:
        assert len(labels) == len(self._family.label_names), (self._family.name, labels)
        if len(self._children) >= CHILDREN_MAX:
            labels = (OTHER,) * len(labels)
        return self._children.setdefault(labels, self._make())

    def remove(self, *labels: str) -> None:
        """Forget a gauge of what no longer exists. Counters and histograms stay: they must not fall."""
        assert self._family.kind is Kind.GAUGE
        self._children.pop(labels, None)

    def dump(self) -> Family:
        family = self._family
        samples = [Sample(labels, list(child.values)) for labels, child in self._children.items()]
        return Family(family.name, family.kind, family.help, family.label_names, family.bounds, samples)


class Registry:
    """All metrics of one process, in order of registration."""

    def __init__(self) -> None:
        self._dumps: dict[str, Callable[[], Family]] = {}

    def counter(self, name: str, about: str, *label_names: str) -> Metric[Counter]:
        """`name` ends in `_total`. Without labels the metric is `counter(...).child()`."""
        assert name.endswith("_total"), name
        return self._register(Metric(Family(name, Kind.COUNTER, about, label_names, (), []), Counter))

    def gauge(self, name: str, about: str, *label_names: str) -> Metric[Gauge]:
        return self._register(Metric(Family(name, Kind.GAUGE, about, label_names, (), []), Gauge))

    def histogram(self, name: str, about: str, bounds: tuple[float, ...], *label_names: str) -> Metric[Histogram]:
        family = Family(name, Kind.HISTOGRAM, about, label_names, bounds, [])
        return self._register(Metric(family, lambda: Histogram(bounds)))

    def _register(self, metric: Metric[Child]) -> Metric[Child]:
        name = metric.dump().name
        assert name not in self._dumps, name
        self._dumps[name] = metric.dump
        return metric

    def dump(self) -> list[Family]:
        """Return a copy of all values; families without any are left out."""
        return [family for dump in self._dumps.values() if (family := dump()).samples]


def merge(dumps: Iterable[Sequence[Family]]) -> list[Family]:
    """Return the sum over processes: values with the same name and labels are added. The arguments stay as they are."""
    merged: dict[str, tuple[Family, dict[tuple[str, ...], list[float]]]] = {}
    for family in chain.from_iterable(dumps):
        _, sums = merged.setdefault(family.name, (family, {}))
        for sample in family.samples:
            before = sums.get(sample.labels)
            values = sample.values if before is None else [a + b for a, b in zip(before, sample.values, strict=True)]
            sums[sample.labels] = values
    return [
        Family(f.name, f.kind, f.help, f.label_names, f.bounds, [Sample(k, list(v)) for k, v in sums.items()])
        for f, sums in merged.values()
    ]


def lasting(families: Sequence[Family]) -> list[Family]:
    """Return what outlives the process that counted it: all but gauges."""
    return [family for family in families if family.kind is not Kind.GAUGE]


class ProcessMetrics:
    """CPU, memory and descriptors of this process; `process` is its name in the label, for example `worker-0`."""

    def __init__(self, registry: Registry, process: str) -> None:
        cpu = registry.counter("inference_gateway_process_cpu_seconds_total", "CPU time, user and system.", "process")
        rss = registry.gauge("inference_gateway_process_resident_bytes", "Resident memory.", "process")
        fds = registry.gauge("inference_gateway_process_open_descriptors", "Open file descriptors.", "process")
        self._process = process
        self._cpu, self._rss, self._fds = cpu.child(process), rss, fds

    def update(self) -> None:
        """Read the values; call it before a dump. Without /proc memory and descriptors are absent, not zero."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        self._cpu.values[0] = usage.ru_utime + usage.ru_stime
        try:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self._rss.child(self._process).set(pages * resource.getpagesize())
            self._fds.child(self._process).set(len(os.listdir("/proc/self/fd")))
        except OSError:
            return
