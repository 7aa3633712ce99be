"""What a replica counts, for Prometheus. Per token nothing but an addition; all else at a request's end or a scrape."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.gpu import GpuReading
from serving.load import Cost, LoadState

# OpenTelemetry's gen_ai.server.time_to_first_token and .time_per_output_token, the first one longer for queues and long
# prompts, the second one finer for small models.
TTFT_BUCKETS_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80)
TPOT_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)


class Metrics:
    def __init__(self, build: dict[str, str], load: Callable[[], LoadState]) -> None:
        """`build` becomes the labels of inference_build_info."""
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.completion_tokens = 0
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "inference_requests", "Requests answered.", ["method", "status"], registry=self._registry
        )
        self._ttft_s = Histogram(
            "inference_time_to_first_token_seconds",
            "From the request to its first token, over streams that had one.",
            registry=self._registry,
            buckets=TTFT_BUCKETS_S,
        )
        self._tpot_s = Histogram(
            "inference_time_per_output_token_seconds",
            "Mean time between tokens of one stream after its first, over streams of two tokens or more.",
            registry=self._registry,
            buckets=TPOT_BUCKETS_S,
        )
        self._scraped = _Scraped(self, build, load)
        self._registry.register(self._scraped)

    def answered(self, method: str, status: str) -> None:
        self._requests.labels(method, status).inc()

    def spent(self, cost: Cost) -> None:
        self.prompt_tokens += cost.prompt_tokens
        self.cached_tokens += cost.cached_tokens

    def first_token(self, after_s: float) -> None:
        self._ttft_s.observe(after_s)

    def streamed(self, duration_s: float, tokens: int) -> None:
        """Note a stream that took `duration_s` from its first token to its last, with `tokens` in all."""
        if tokens > 1:
            self._tpot_s.observe(duration_s / (tokens - 1))

    def render(self, gpus: Sequence[GpuReading]) -> bytes:
        """Return the text format."""
        self._scraped.gpus = gpus
        return generate_latest(self._registry)


class _Scraped(Collector):
    """What is read rather than counted."""

    def __init__(self, counts: Metrics, build: dict[str, str], load: Callable[[], LoadState]) -> None:
        self.gpus: Sequence[GpuReading] = ()
        self._counts = counts
        self._build = build
        self._load = load

    def collect(self) -> Iterable[Metric]:
        yield InfoMetricFamily("inference_build", "What runs here.", value=self._build)
        yield from self._load_metrics()
        yield from self._token_metrics()
        if self.gpus:
            yield from self._gpu_metrics()

    def _load_metrics(self) -> Iterable[Metric]:
        load = self._load()
        yield GaugeMetricFamily("inference_queue_depth", "Requests that wait to be scheduled.", load.queue_depth)
        yield GaugeMetricFamily("inference_running_requests", "Requests that are scheduled.", load.running_requests)
        yield GaugeMetricFamily(
            "inference_uncached_waiting_tokens", "Prompt tokens still to be computed.", load.uncached_waiting_tokens
        )
        yield GaugeMetricFamily("kv_cache_utilization", "Between 0 and 1.", load.kv_cache_utilization)

    def _token_metrics(self) -> Iterable[Metric]:
        counts = self._counts
        yield CounterMetricFamily("inference_prompt_tokens", "Of prompts that got a token.", counts.prompt_tokens)
        yield CounterMetricFamily(
            "inference_cached_tokens", "Of them, found in the prefix cache.", counts.cached_tokens
        )
        yield CounterMetricFamily("inference_completion_tokens", "Sent, over all choices.", counts.completion_tokens)

    def _gpu_metrics(self) -> Iterable[Metric]:
        utilization = GaugeMetricFamily("gpu_utilization", "Between 0 and 1.", labels=["gpu"])
        used = GaugeMetricFamily("gpu_memory_used_bytes", "By all processes.", labels=["gpu"])
        total = GaugeMetricFamily("gpu_memory_total_bytes", "Of the device.", labels=["gpu"])
        throttled = GaugeMetricFamily("gpu_throttled", "1: heat or a power brake slows it.", labels=["gpu"])
        faults = GaugeMetricFamily("gpu_faults", "Memory and XID errors since the start.", labels=["gpu"])
        for gpu in self.gpus:
            utilization.add_metric([gpu.name], gpu.utilization)
            used.add_metric([gpu.name], gpu.memory_used_bytes)
            total.add_metric([gpu.name], gpu.memory_total_bytes)
            throttled.add_metric([gpu.name], gpu.is_throttled)
            faults.add_metric([gpu.name], gpu.faults)
        yield from (utilization, used, total, throttled, faults)
