"""Load reports by ORCA: `xds.data.orca.v3.OrcaLoadReport`, in trailers and on a stream (gRFC A51)."""

from math import inf, isfinite
from typing import Final

from google.protobuf.message import DecodeError
from xds.data.orca.v3.orca_load_report_pb2 import OrcaLoadReport

from gateway.http2.headers import Field
from gateway.rpc.metadata import decode_binary, encode_binary
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


def parse_report(serialized: bytes, received_at: float) -> LoadReport:
    """Return what the report says; what it does not name is 0. Raises ValueError where it is malformed."""
    return _load(_parsed(serialized), received_at)


def parse_usage(serialized: bytes) -> Usage | None:
    """Return what the finished request cost, where the report says it. Raises ValueError where it is malformed."""
    return _usage(_parsed(serialized))


def read_trailer(value: bytes, received_at: float) -> tuple[LoadReport, Usage | None]:
    """Both, of the trailer's value."""
    report = _parsed(decode_binary(value))
    return _load(report, received_at), _usage(report)


def write_report(load: LoadReport, usage: Usage | None = None) -> bytes:
    """Return what `parse_report` reads, without what single GPUs have; `usage` as `parse_usage` reads it."""
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
    """Return the field that `read_trailer` reads."""
    return TRAILER, encode_binary(write_report(load, usage))


def _parsed(serialized: bytes) -> OrcaLoadReport:
    try:
        return OrcaLoadReport.FromString(serialized)
    except DecodeError as error:
        raise ValueError(f"malformed load report: {error}") from error


def _load(report: OrcaLoadReport, received_at: float) -> LoadReport:
    # A dictionary of our own: each look into protobuf's map costs as much as five into it.
    found = report.named_metrics
    named = {name: found[name] for name in found}
    if not all(map(isfinite, named.values())):
        raise ValueError("malformed load report: a metric is not finite")
    return LoadReport(
        queue_depth=named.get(QUEUE_DEPTH, 0.0),
        running_requests=named.get(RUNNING_REQUESTS, 0.0),
        kv_cache_utilization=named.get(KV_CACHE_UTILIZATION, 0.0),
        uncached_waiting_tokens=named.get(UNCACHED_WAITING_TOKENS, 0.0),
        boot_id=int(named.get(BOOT_ID, 0.0)),
        received_requests=int(named.get(RECEIVED_REQUESTS, 0.0)),
        received_at=received_at,
        utilization=_finite(report.application_utilization or report.cpu_utilization),
        requests_per_s=_finite(report.rps_fractional),
        errors_per_s=_finite(report.eps),
        gpu_utilization=named.get(GPU_UTILIZATION, 0.0),
        gpu_memory_utilization=named.get(GPU_MEMORY_UTILIZATION, 0.0),
        gpus_throttled=named.get(GPUS_THROTTLED, 0.0),
        gpu_faults=named.get(GPU_FAULTS, 0.0),
        ready_replicas=named.get(READY_REPLICAS, 1.0),
    )


def _usage(report: OrcaLoadReport) -> Usage | None:
    cost = report.request_cost
    prompt_tokens = _count(cost.get(PROMPT_TOKENS, 0.0))
    cached_tokens = _count(cost.get(CACHED_TOKENS, 0.0))
    completion_tokens = _count(cost.get(COMPLETION_TOKENS, 0.0))
    return Usage(prompt_tokens, min(cached_tokens, prompt_tokens), completion_tokens) if prompt_tokens else None


def _count(cost: float) -> int:
    if not 0 <= cost < inf:
        raise ValueError("malformed load report: a cost is no count")
    return int(cost)


def _finite(value: float) -> float:
    return value if isfinite(value) else 0.0
