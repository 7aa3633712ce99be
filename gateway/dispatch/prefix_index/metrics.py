"""What the prefix index tells of itself."""

from gateway.dispatch.prefix_index.news import News
from gateway.dispatch.prefix_index.prompts import PrefixIndex
from gateway.metrics import Registry

__all__ = ["PrefixMetrics"]


class PrefixMetrics:
    def __init__(self, registry: Registry) -> None:
        name = "inference_gateway_prefix_index_".__add__
        self._blocks = registry.gauge(name("blocks"), "Blocks remembered, by each replica that holds them.").child()
        self._bytes = registry.gauge(name("bytes"), "Memory of the prefix index, estimated.").child()
        self._missed = registry.counter(
            name("missed_total"), "Requests that found less cached than was thought."
        ).child()
        self._untold = registry.counter(
            name("untold_total"), "Prompts that other workers were not told of, too many at once."
        ).child()

    def update(self, index: PrefixIndex, news: News) -> None:
        """Set what is measured only when somebody asks."""
        self._blocks.set(len(index.holders))
        self._bytes.set(index.holders.estimated_bytes())
        self._missed.add(index.missed - self._missed.values[0])
        self._untold.add(news.dropped - self._untold.values[0])
