"""Load reports by ORCA: `xds.data.orca.v3.OrcaLoadReport`, in trailers and on a stream (gRFC A51)."""

from math import inf, isfinite
from typing import Final

from google.protobuf.message import DecodeError
from xds.data.orca.v3.orca_load_report_pb2 import OrcaLoadReport

from gateway.http2.headers import Field
from gateway.rpc.metadata import encode_binary
from gateway.types import LoadReport, Usage

TRAILER: Final = b"endpoint-load-metrics-bin"
FLOOR: Final = "x-load-report-floor-ms"
"""Metadata of StreamCoreMetrics: the shortest time between two reports that the watcher wants, in milliseconds. (The
request's report_interval is the longest.)"""

# The names in OrcaLoadReport.named_metrics.
QUEUE_DEPTH: Final = "queue_depth"
RUNNING_REQUESTS: Final = "running_requests"
KV_CACHE_UTILIZATION: Final = "kv_cache_utilization"
UNCACHED_WAITING_TOKENS: Final = "uncached_waiting_tokens"
BOOT_ID: Final = "boot_id"
RECEIVED_REQUESTS: Final = "received_requests"
GPU_UTILIZATION: Final = "gpu_utilization"
GPU_MEMORY_UTILIZATION: Final = "gpu_memory_utilization"
GPUS_THROTTLED: Final = "gpus_throttled"
GPU_FAULTS: Final = "gpu_faults"
READY_REPLICAS: Final = "ready_replicas"

# The names in OrcaLoadReport.request_cost.
PROMPT_TOKENS: Final = "prompt_tokens"
CACHED_TOKENS: Final = "cached_tokens"
COMPLETION_TOKENS: Final = "completion_tokens"


Place = tuple[int, str]
"""Of a number in an OrcaLoadReport: its field, and its name where that is a map."""
Numbers = tuple[float, ...]
"""What a report says, in the order of PLACES."""

# Numbers of its fields; the first three are maps.
_COST: Final = 4
_UTILIZATION: Final = 5
_NAMED: Final = 8
MAPS: Final = frozenset((_COST, _UTILIZATION, _NAMED))
_APPLICATION_UTILIZATION: Final[Place] = (9, "")
_CPU_UTILIZATION: Final[Place] = (1, "")
_REQUESTS_PER_S: Final[Place] = (6, "")
_ERRORS_PER_S: Final[Place] = (7, "")

PLACES: Final[tuple[tuple[Place, float], ...]] = (
    ((_NAMED, QUEUE_DEPTH), 0.0),
    ((_NAMED, RUNNING_REQUESTS), 0.0),
    ((_NAMED, KV_CACHE_UTILIZATION), 0.0),
    ((_NAMED, UNCACHED_WAITING_TOKENS), 0.0),
    ((_NAMED, BOOT_ID), 0.0),
    ((_NAMED, RECEIVED_REQUESTS), 0.0),
    ((_NAMED, GPU_UTILIZATION), 0.0),
    ((_NAMED, GPU_MEMORY_UTILIZATION), 0.0),
    ((_NAMED, GPUS_THROTTLED), 0.0),
    ((_NAMED, GPU_FAULTS), 0.0),
    ((_NAMED, READY_REPLICAS), 1.0),
    (_APPLICATION_UTILIZATION, 0.0),
    (_CPU_UTILIZATION, 0.0),
    (_REQUESTS_PER_S, 0.0),
    (_ERRORS_PER_S, 0.0),
    ((_COST, PROMPT_TOKENS), 0.0),
    ((_COST, CACHED_TOKENS), 0.0),
    ((_COST, COMPLETION_TOKENS), 0.0),
)
"""What is read of a report, and what it says where it does not name it."""


def parse_report(serialized: bytes, received_at: float) -> LoadReport:
    """Return what the report says; what it does not name is 0. Raises ValueError where it is malformed."""
    return load_of(parse_numbers(serialized), received_at)


def parse_numbers(serialized: bytes) -> Numbers:
    """Return the numbers of a report. Raises ValueError where it is malformed."""
    try:
        report = OrcaLoadReport.FromString(serialized)
    except DecodeError as error:
        raise ValueError(f"malformed load report: {error}") from error
    named, cost = report.named_metrics, report.request_cost
    found: dict[Place, float] = {(_NAMED, name): named[name] for name in named}
    if not all(map(isfinite, found.values())):
        raise ValueError("malformed load report: a metric is not finite")
    found.update({(_COST, name): cost[name] for name in cost})
    found[_APPLICATION_UTILIZATION] = report.application_utilization
    found[_CPU_UTILIZATION] = report.cpu_utilization
    found[_REQUESTS_PER_S] = report.rps_fractional
    found[_ERRORS_PER_S] = report.eps
    return tuple([found.get(place, default) for place, default in PLACES])


def load_of(numbers: Numbers, received_at: float) -> LoadReport:
    queue, running, kv_cache, waiting, boot, received, gpu, memory, throttled, faults, ready = numbers[:11]
    application, cpu, requests_per_s, errors_per_s = numbers[11:15]
    return LoadReport(
        queue,
        running,
        kv_cache,
        waiting,
        int(boot),
        int(received),
        received_at,
        _finite(application or cpu),
        _finite(requests_per_s),
        _finite(errors_per_s),
        gpu,
        memory,
        throttled,
        faults,
        ready,
    )


def usage_of(numbers: Numbers) -> Usage | None:
    """Return what the finished request cost, where the report says it. Raises ValueError where it is no count."""
    prompt, cached, completion = numbers[15:]
    # Neither is true of what is no number.
    if not (0 <= prompt < inf and 0 <= cached < inf and 0 <= completion < inf):
        raise ValueError("malformed load report: a cost is no count")
    return Usage(int(prompt), int(min(cached, prompt)), int(completion)) if prompt >= 1 else None


def write_report(load: LoadReport, usage: Usage | None = None) -> bytes:
    """Return what `parse_report` reads, without what single GPUs have; `usage` as `usage_of` does."""
    report = OrcaLoadReport(
        application_utilization=load.utilization,
        rps_fractional=load.requests_per_s,
        eps=load.errors_per_s,
        named_metrics={
            QUEUE_DEPTH: load.queue_depth,
            RUNNING_REQUESTS: load.running_requests,
            KV_CACHE_UTILIZATION: load.kv_cache_utilization,
            UNCACHED_WAITING_TOKENS: load.uncached_waiting_tokens,
            BOOT_ID: load.boot_id,
            RECEIVED_REQUESTS: load.received_requests,
            GPU_UTILIZATION: load.gpu_utilization,
            GPU_MEMORY_UTILIZATION: load.gpu_memory_utilization,
            READY_REPLICAS: load.ready_replicas,
        },
    )
    if usage is not None:
        report.request_cost[PROMPT_TOKENS] = usage.prompt_tokens
        report.request_cost[CACHED_TOKENS] = usage.cached_tokens
        report.request_cost[COMPLETION_TOKENS] = usage.completion_tokens
    return report.SerializeToString()


def write_trailer(load: LoadReport, usage: Usage | None) -> Field:
    """Return the field that `gateway.rpc.reports` reads."""
    return TRAILER, encode_binary(write_report(load, usage))


def _finite(value: float) -> float:
    return value if isfinite(value) else 0.0
