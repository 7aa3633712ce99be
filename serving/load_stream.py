"""xds.service.orca.v3.OpenRcaService: load reports as a stream, when something changed and as a heartbeat."""

import asyncio
from collections.abc import Callable

import grpc
from grpc import aio
from xds.service.orca.v3 import orca_pb2

from gateway.rpc import orca
from gateway.rpc.report_pace import pace_for
from serving.call import metadata_value
from serving.lifecycle import Lifecycle
from serving.load import GATEWAY_ID, Load

LOAD_SERVICE = "xds.service.orca.v3.OpenRcaService"


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
        pace = pace_for(request, metadata_value(context, orca.FLOOR), self._floor_s, self._heartbeat_s)
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
