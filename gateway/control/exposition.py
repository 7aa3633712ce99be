"""Our metrics in Prometheus' text formats."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.metrics import Family, Kind


class _Merged(Collector):
    def __init__(self, families: Iterable[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return map(_metric, self._families)


def expose(families: Sequence[Family], accept: str) -> tuple[bytes, str]:
    """Return the body and its content type; `accept` is the scraper's header."""
    encode, content_type = choose_encoder(accept)
    return encode(_Merged(families)), content_type


def _metric(family: Family) -> Metric:
    labels = list(family.label_names)
    if family.kind is Kind.HISTOGRAM:
        return _histogram(family)
    make = CounterMetricFamily if family.kind is Kind.COUNTER else GaugeMetricFamily
    metric = make(family.name, family.help, labels=labels)
    for sample in family.samples:
        metric.add_metric(list(sample.labels), sample.values[0])
    return metric


def _histogram(family: Family) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=list(family.label_names))
    names = [*map(str, family.bounds), "+Inf"]
    for sample in family.samples:
        *counts, total = sample.values
        metric.add_metric(list(sample.labels), list(zip(names, accumulate(counts), strict=True)), total)
    return metric
