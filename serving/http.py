"""/metrics, /health and /health/ready over HTTP, for those who do not speak gRPC."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from serving.config import SettingsError, split_address
from serving.gpu import Gpus
from serving.lifecycle import Lifecycle
from serving.metrics import Metrics

SHUTDOWN_S = 1.0
"""For a request that is being answered when the replica stops."""


class Endpoints:
    def __init__(self, lifecycle: Lifecycle, metrics: Metrics, gpus: Gpus) -> None:
        self._lifecycle = lifecycle
        self._metrics = metrics
        self._gpus = gpus

    def application(self) -> web.Application:
        application = web.Application()
        application.add_routes(
            [
                web.get("/metrics", self.metrics),
                web.get("/health", self.health),
                web.get("/health/ready", self.ready),
            ]
        )
        return application

    async def metrics(self, request: web.Request) -> web.Response:
        # In a thread: a driver in trouble must not delay tokens.
        gpus = await asyncio.to_thread(self._gpus.read)
        # The process's own numbers, and whatever the engine's library registers there.
        body = self._metrics.render(gpus) + generate_latest(REGISTRY)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def health(self, request: web.Request) -> web.Response:
        """The process runs; whether it can serve is `/health/ready`'s business."""
        return web.Response(text="ok\n")

    async def ready(self, request: web.Request) -> web.Response:
        phase = self._lifecycle.phase.name.lower()
        return web.Response(text=f"{phase}\n", status=200 if self._lifecycle.is_serving else 503)


@asynccontextmanager
async def listening(application: web.Application, address: str) -> AsyncGenerator[int, None]:
    """Serve HTTP and yield the port. Raises SettingsError where it cannot be had."""
    host, port = split_address("metrics_listen", address)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise SettingsError(f"metrics_listen: {address}: {error.strerror}") from None
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
