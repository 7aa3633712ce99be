"""xds.service.orca.v3.OpenRcaService for gateways in front: this one's own load, as a stream (gRFC A51)."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio
from msgspec.structs import replace
from xds.service.orca.v3.orca_pb2 import OrcaLoadReportRequest

from gateway.dispatch.own_load import OwnLoad
from gateway.rpc.call import GATEWAY_ID
from gateway.rpc.orca import FLOOR, write_report
from gateway.rpc.report_pace import pace_for
from gateway.types import Snapshot

SERVICE = "xds.service.orca.v3.OpenRcaService"

_FLOOR_S = 0.1
_HEARTBEAT_S = 1.0
"""As replicas do, where the watcher asks for nothing else."""


def load_handler(own: OwnLoad, snapshot: Callable[[], Snapshot], clock: Callable[[], float]) -> grpc.GenericRpcHandler:
    """Return the service with its one method. `own` is shown `snapshot()` before it is asked."""

    async def stream_core_metrics(
        request: OrcaLoadReportRequest, context: grpc.aio.ServicerContext[OrcaLoadReportRequest, bytes]
    ) -> None:
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        gateway = metadata.get(GATEWAY_ID.decode(), "").encode()
        pace = pace_for(request, metadata.get(FLOOR, ""), _FLOOR_S, _HEARTBEAT_S)
        while True:
            own.follow(snapshot())
            report = own.report(gateway, clock())
            state = replace(report, received_at=0.0)
            # Workers count in memory, and tell nobody.
            look = pace.look(state, clock(), is_busy=True)
            if look.in_s:
                await asyncio.sleep(look.in_s)
            else:
                await context.write(write_report(report))
                pace.sent(state, clock())

    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "StreamCoreMetrics": grpc.unary_stream_rpc_method_handler(
            stream_core_metrics, OrcaLoadReportRequest.FromString, bytes
        )
    }
    return grpc.method_handlers_generic_handler(SERVICE, handlers)
