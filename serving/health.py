"""grpc.health.v1 of a replica. grpcio-health-checking's own servicer writes to a watcher while it holds the lock that a
change of state needs, and never ends a Watch: here neither can hold up a drain."""

import grpc
from grpc import aio
from grpc_health.v1 import health_pb2

from serving.lifecycle import Lifecycle

HEALTH_SERVICE = "grpc.health.v1.Health"

_Request = health_pb2.HealthCheckRequest
_Response = health_pb2.HealthCheckResponse
_Context = aio.ServicerContext[_Request, _Response]


class Health:
    def __init__(self, lifecycle: Lifecycle, services: frozenset[str]) -> None:
        """`services` all serve, or none does; "" is the whole process."""
        self._lifecycle = lifecycle
        self._services = services

    async def check(self, request: _Request, context: _Context) -> _Response:
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r} here")
        return _Response(status=self._status(request.service))

    async def watch(self, request: _Request, context: _Context) -> None:
        """Write the state at once and at each change (gRFC A17), until the replica stops."""
        sent = None
        while not self._lifecycle.is_closed:
            status = self._status(request.service)
            if status != sent:
                await context.write(_Response(status=status))
                sent = status
                continue  # it may have changed while this was written
            await self._lifecycle.changes.wait()
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the replica is stopping")

    def _status(self, service: str) -> int:
        if service not in self._services:
            return _Response.SERVICE_UNKNOWN
        return _Response.SERVING if self._lifecycle.is_serving else _Response.NOT_SERVING


def health_handler(health: Health) -> grpc.GenericRpcHandler:
    def encode(response: _Response) -> bytes:
        return response.SerializeToString()

    return grpc.method_handlers_generic_handler(
        HEALTH_SERVICE,
        {
            "Check": grpc.unary_unary_rpc_method_handler(health.check, _Request.FromString, encode),
            "Watch": grpc.unary_stream_rpc_method_handler(health.watch, _Request.FromString, encode),
        },
    )
