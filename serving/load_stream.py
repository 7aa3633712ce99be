"""xds.service.orca.v3.OpenRcaService: load reports as a stream, when something changed and as a heartbeat."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import grpc
from grpc import aio
from xds.service.orca.v3 import orca_pb2

from gateway.rpc import orca
from serving.call import metadata_value
from serving.lifecycle import Lifecycle
from serving.load import GATEWAY_ID, Load, LoadState

LOAD_SERVICE = "xds.service.orca.v3.OpenRcaService"


class Look(NamedTuple):
    """When to look at the load again."""

    in_s: float
    """0: report now."""
    or_at_change: bool = False


class Pace:
    """When one watcher gets reports: at a change, at most every `floor_s`, and at least every `heartbeat_s`."""

    def __init__(self, floor_s: float, heartbeat_s: float) -> None:
        self._floor_s = floor_s
        self._heartbeat_s = max(heartbeat_s, floor_s)
        self._sent: LoadState | None = None
        self._sent_at = 0.0

    def look(self, state: LoadState, now_s: float, *, is_busy: bool) -> Look:
        """`is_busy`: the state may change without a notice."""
        age_s = now_s - self._sent_at
        if self._sent is None or age_s >= self._heartbeat_s:
            return Look(0.0)
        if state != self._sent:
            return Look(max(0.0, self._floor_s - age_s))
        left_s = self._heartbeat_s - age_s
        return Look(min(self._floor_s, left_s)) if is_busy else Look(left_s, or_at_change=True)

    def sent(self, state: LoadState, now_s: float) -> None:
        self._sent = state
        self._sent_at = now_s


class LoadStream:
    def __init__(
        self, load: Load, lifecycle: Lifecycle, floor_s: float, heartbeat_s: float, clock: Callable[[], float]
    ) -> None:
        self._load = load
        self._lifecycle = lifecycle
        self._floor_s = floor_s
        self._heartbeat_s = heartbeat_s
        self._clock = clock

    async def stream_core_metrics(
        self,
        request: orca_pb2.OrcaLoadReportRequest,
        context: aio.ServicerContext[orca_pb2.OrcaLoadReportRequest, bytes],
    ) -> None:
        gateway_id = metadata_value(context, GATEWAY_ID)
        interval_s = request.report_interval.ToNanoseconds() / 1e9
        asked_ms = metadata_value(context, orca.FLOOR)
        floor_s = max(self._floor_s, int(asked_ms) / 1000) if asked_ms.isdecimal() else self._floor_s
        pace = Pace(floor_s, interval_s if interval_s > 0 else self._heartbeat_s)
        while not self._lifecycle.is_closed:
            state, now_s = self._load.state(gateway_id), self._clock()
            is_busy = bool(self._load.in_flight or state.running_requests or state.queue_depth)
            look = pace.look(state, now_s, is_busy=is_busy)
            if not look.in_s:
                await context.write(self._load.report(state))
                pace.sent(state, now_s)
            elif look.or_at_change:
                await self._load.changes.wait(look.in_s)
            else:
                await asyncio.sleep(look.in_s)
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the replica is stopping")


def load_handler(stream: LoadStream) -> grpc.GenericRpcHandler:
    decode = orca_pb2.OrcaLoadReportRequest.FromString
    method = grpc.unary_stream_rpc_method_handler(stream.stream_core_metrics, decode, bytes)
    return grpc.method_handlers_generic_handler(LOAD_SERVICE, {"StreamCoreMetrics": method})
