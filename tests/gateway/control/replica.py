"""A replica that does what a test tells it: real grpc.aio, scripted answers."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from xds.data.orca.v3.orca_load_report_pb2 import OrcaLoadReport
from xds.service.orca.v3.orca_pb2 import OrcaLoadReportRequest

from inference.v1.inference_pb2 import (
    GenerateRequest,
    GenerateResponse,
    ListModelsRequest,
    ListModelsResponse,
    Model,
)

SERVING = HealthCheckResponse.SERVING
NOT_SERVING = HealthCheckResponse.NOT_SERVING


Context = grpc.aio.ServicerContext[Any, Any]


class ScriptedReplica:
    """What it answers are its attributes; change one and it follows."""

    def __init__(self) -> None:
        self.models: list[Model] | grpc.StatusCode | bytes = [Model(name="m", context_tokens=8192)]
        self.boot_id: int = 7
        self.failure: grpc.StatusCode | None = None
        """How Generate ends; None: with one token."""
        self.generated = 0
        self.has_watch = True
        self.has_reports = True
        self.watched: list[str] = []
        self.gateway_ids: list[str] = []
        self._checks = asyncio.Semaphore(0)
        self._left = asyncio.Event()
        self._status: int | bytes = SERVING
        self._report: OrcaLoadReport | bytes | None = None
        self._changed = asyncio.Condition()
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def say(self, status: int | bytes) -> None:
        async with self._changed:
            self._status = status
            self._changed.notify_all()

    async def report(self, report: bytes | None = None, **named_metrics: float) -> None:
        async with self._changed:
            named = {"boot_id": float(self.boot_id), **named_metrics}
            self._report = OrcaLoadReport(named_metrics=named) if report is None else report
            self._changed.notify_all()

    async def checked(self, times: int) -> None:
        """Return when Check was called so many times."""
        for _ in range(times):
            await self._checks.acquire()

    async def left(self) -> None:
        """Return when a Watch has ended."""
        await self._left.wait()

    async def _watch(self, request: HealthCheckRequest, context: Context) -> AsyncIterator[bytes]:
        self.watched.append(request.service)
        if not self.has_watch:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED)
        try:
            while True:
                said = self._status
                yield said if isinstance(said, bytes) else HealthCheckResponse(status=said).SerializeToString()
                async with self._changed:
                    await self._changed.wait_for(lambda said=said: self._status != said)
        finally:
            self._left.set()

    async def _check(self, request: HealthCheckRequest, context: Context) -> bytes:
        self._checks.release()
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)

    async def _list_models(self, request: ListModelsRequest, context: Context) -> bytes:
        if isinstance(self.models, grpc.StatusCode):
            await context.abort(self.models)
        if isinstance(self.models, bytes):
            return self.models
        return ListModelsResponse(models=self.models).SerializeToString()

    async def _generate(self, request: GenerateRequest, context: Context) -> AsyncIterator[GenerateResponse]:
        self.generated += 1
        if self.failure is not None:
            await context.abort(self.failure)
        yield GenerateResponse(text="token")

    async def _reports(self, request: OrcaLoadReportRequest, context: Context) -> AsyncIterator[bytes]:
        metadata = dict(context.invocation_metadata() or ())
        self.gateway_ids.append(str(metadata["x-gateway-id"]))
        if not self.has_reports:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED)
        said = self._report or OrcaLoadReport(named_metrics={"boot_id": float(self.boot_id)})
        while True:
            yield said if isinstance(said, bytes) else said.SerializeToString()
            async with self._changed:
                await self._changed.wait_for(lambda said=said: self._report not in (None, said))
                said = self._report or b""

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        return [
            grpc.method_handlers_generic_handler(
                "grpc.health.v1.Health",
                {
                    "Watch": grpc.unary_stream_rpc_method_handler(self._watch, HealthCheckRequest.FromString),
                    "Check": grpc.unary_unary_rpc_method_handler(self._check, HealthCheckRequest.FromString),
                },
            ),
            grpc.method_handlers_generic_handler(
                "inference.v1.Inference",
                {
                    "ListModels": grpc.unary_unary_rpc_method_handler(self._list_models, ListModelsRequest.FromString),
                    "Generate": grpc.unary_stream_rpc_method_handler(
                        self._generate, GenerateRequest.FromString, GenerateResponse.SerializeToString
                    ),
                },
            ),
            grpc.method_handlers_generic_handler(
                "xds.service.orca.v3.OpenRcaService",
                {
                    "StreamCoreMetrics": grpc.unary_stream_rpc_method_handler(
                        self._reports, OrcaLoadReportRequest.FromString
                    )
                },
            ),
        ]

    async def start(self, port: int = 0) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        self._server.add_generic_rpc_handlers(tuple(self.handlers()))
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()

    async def stop(self) -> None:
        """End as a process does: connections break."""
        if self._server is not None:
            await self._server.stop(0)
            self._server = None


@asynccontextmanager
async def running_replica() -> AsyncGenerator[ScriptedReplica, None]:
    replica = ScriptedReplica()
    await replica.start()
    try:
        yield replica
    finally:
        await replica.stop()
