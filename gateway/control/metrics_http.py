"""/metrics, /health and /health/ready over HTTP, for scrapers and probes that speak no gRPC."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from aiohttp import web

from gateway.config import join_address, split_address
from gateway.control.exposition import expose
from gateway.control.health import Health
from gateway.errors import SettingsError
from gateway.metrics import Family


@asynccontextmanager
async def running_metrics(
    address: str, families: Callable[[], Awaitable[Sequence[Family]]], health: Health
) -> AsyncGenerator[str, None]:
    """Serve on `HOST:PORT` and yield that with the real port. Raises SettingsError."""

    async def metrics(request: web.Request) -> web.Response:
        body, content_type = expose(await families(), request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def up(_: web.Request) -> web.Response:
        return web.Response(text="up\n")

    async def ready(_: web.Request) -> web.Response:
        return web.Response(text="ready\n") if health.is_ready else web.Response(text="not ready\n", status=503)

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics), web.get("/health", up), web.get("/health/ready", ready)])
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.5)
    await runner.setup()
    try:
        yield await _listen(runner, address)
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, address: str) -> str:
    host, port = split_address(address)
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        raise SettingsError(f"metrics_listen: cannot listen on {address}: {error.strerror}") from None
    bound: tuple[str, int] = runner.addresses[0][:2]
    return join_address(*bound)
