"""How busy this replica is: counted here, measured by the engine, reported by ORCA (gRFC A51)."""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from xds.data.orca.v3 import orca_load_report_pb2

from gateway.rpc import orca
from serving.engine import EngineDead, EngineLoad
from serving.gpu import GpuFacts
from serving.lifecycle import Changes

TRAILER = orca.TRAILER.decode()
GATEWAY_ID = "x-gateway-id"
"""Metadata by which a gateway names itself."""

MAX_GATEWAYS = 256
"""Whose requests are counted; beyond, the one that was silent longest is forgotten and begins again at 0."""

BOOT_IDS = 2**53
"""A boot id is below it: whole numbers that a double holds exactly."""


class Cost(NamedTuple):
    """What one request took of this replica."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


class LoadState(NamedTuple):
    """What a report says of the replica, but for the rates."""

    queue_depth: int
    running_requests: int
    kv_cache_utilization: float
    uncached_waiting_tokens: int
    received_requests: int


class Rate:
    """Events a second over the last `WINDOW_S` seconds, in buckets of one second."""

    WINDOW_S = 10

    def __init__(self) -> None:
        self._buckets: deque[tuple[int, int]] = deque()

    def add(self, now_s: float) -> None:
        second = int(now_s)
        if self._buckets and self._buckets[-1][0] == second:
            self._buckets[-1] = second, self._buckets[-1][1] + 1
        else:
            self._buckets.append((second, 1))
            self._forget(second)

    def value(self, now_s: float) -> float:
        self._forget(int(now_s))
        return sum(count for _, count in self._buckets) / self.WINDOW_S

    def _forget(self, second: int) -> None:
        while self._buckets and self._buckets[0][0] <= second - self.WINDOW_S:
            self._buckets.popleft()


class Load:
    def __init__(self, measure: Callable[[], EngineLoad], boot_id: int, clock: Callable[[], float]) -> None:
        self.in_flight = 0
        """Requests that were received and not yet answered."""
        self.changes = Changes()
        """Of `in_flight`; the engine's own load changes without a word."""
        self.gpus: GpuFacts | None = None
        """As last read."""
        self._measure = measure
        self._measured = EngineLoad(0, 0, 0.0, 0)
        self._boot_id = boot_id
        self._clock = clock
        self._received: OrderedDict[str, int] = OrderedDict()
        self._answered = Rate()
        self._failed = Rate()

    def begin(self, gateway_id: str) -> None:
        self.in_flight += 1
        self._received[gateway_id] = self._received.pop(gateway_id, 0) + 1
        if len(self._received) > MAX_GATEWAYS:
            self._received.popitem(last=False)
        self.changes.notify()

    def end(self, *, has_failed: bool) -> None:
        self.in_flight -= 1
        now_s = self._clock()
        self._answered.add(now_s)
        if has_failed:
            self._failed.add(now_s)
        self.changes.notify()

    def state(self, gateway_id: str) -> LoadState:
        """Return the load as this gateway is told it. `queue_depth` counts what the engine has not seen yet, so that
        queued and running requests are never fewer than those received."""
        try:
            self._measured = self._measure()
        except EngineDead:
            pass  # as it was last
        engine = self._measured
        return LoadState(
            queue_depth=max(engine.queue_depth, self.in_flight - engine.running_requests),
            running_requests=engine.running_requests,
            kv_cache_utilization=engine.kv_cache_utilization,
            uncached_waiting_tokens=engine.uncached_waiting_tokens,
            received_requests=self._received.get(gateway_id, 0),
        )

    def report(self, state: LoadState, cost: Cost | None = None) -> bytes:
        """Return the state as xds.data.orca.v3.OrcaLoadReport, serialized."""
        now_s = self._clock()
        report = orca_load_report_pb2.OrcaLoadReport(
            application_utilization=state.kv_cache_utilization,
            rps_fractional=self._answered.value(now_s),
            eps=self._failed.value(now_s),
            named_metrics={
                orca.QUEUE_DEPTH: state.queue_depth,
                orca.RUNNING_REQUESTS: state.running_requests,
                orca.KV_CACHE_UTILIZATION: state.kv_cache_utilization,
                orca.UNCACHED_WAITING_TOKENS: state.uncached_waiting_tokens,
                orca.BOOT_ID: self._boot_id,
                orca.RECEIVED_REQUESTS: state.received_requests,
            },
        )
        if self.gpus is not None:
            report.named_metrics[orca.GPU_UTILIZATION] = self.gpus.utilization
            report.named_metrics[orca.GPU_MEMORY_UTILIZATION] = self.gpus.memory_utilization
            report.named_metrics[orca.GPUS_THROTTLED] = self.gpus.throttled
            report.named_metrics[orca.GPU_FAULTS] = self.gpus.faults
        if cost is not None:
            report.request_cost[orca.PROMPT_TOKENS] = cost.prompt_tokens
            report.request_cost[orca.CACHED_TOKENS] = cost.cached_tokens
            report.request_cost[orca.COMPLETION_TOKENS] = cost.completion_tokens
        return report.SerializeToString()
