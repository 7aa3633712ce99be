"""grpc.health.v1 of the gateway itself, as agents and their balancers see it."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1.health_pb2 import (
    HealthCheckRequest,
    HealthCheckResponse,
)

SERVICE = "grpc.health.v1.Health"
INFERENCE = "inference.v1.Inference"

_Context = grpc.aio.ServicerContext[Any, Any]


class Health:
    """`""` is serving while the process is up, the inference service while a replica is ready; neither while draining.

    Not grpcio's own servicer: there a watcher that does not read delays all others' news."""

    def __init__(self) -> None:
        self._statuses = {"": HealthCheckResponse.SERVING, INFERENCE: HealthCheckResponse.NOT_SERVING}
        self._is_draining = False
        self._changed = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        return self._statuses[INFERENCE] == HealthCheckResponse.SERVING

    def set_ready(self, is_ready: bool) -> None:
        """Say whether a replica is ready."""
        if not self._is_draining and is_ready != self.is_ready:
            self._statuses[INFERENCE] = HealthCheckResponse.SERVING if is_ready else HealthCheckResponse.NOT_SERVING
            self._notify()

    def drain(self) -> None:
        """Serve no more, for good."""
        self._is_draining = True
        self._statuses = dict.fromkeys(self._statuses, HealthCheckResponse.NOT_SERVING)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _check(self, request: HealthCheckRequest, context: _Context) -> HealthCheckResponse:
        if request.service not in self._statuses:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r} here")
        return HealthCheckResponse(status=self._statuses[request.service])

    async def _watch(self, request: HealthCheckRequest, context: _Context) -> AsyncGenerator[HealthCheckResponse, None]:
        told = None
        while True:
            changed = self._changed
            status = self._statuses.get(request.service, HealthCheckResponse.SERVICE_UNKNOWN)
            if status != told:
                yield HealthCheckResponse(status=status)
                told = status
            await changed.wait()

    def handler(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Check": grpc.unary_unary_rpc_method_handler(
                    self._check, HealthCheckRequest.FromString, HealthCheckResponse.SerializeToString
                ),
                "Watch": grpc.unary_stream_rpc_method_handler(
                    self._watch, HealthCheckRequest.FromString, HealthCheckResponse.SerializeToString
                ),
            },
        )
