"""An API server that knows EndpointSlices: lists, watches, and ends a watch in the ways a real one does."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

TOKEN = {"token": "t"}
PATH = "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"


def endpoint(address: str, pod: str = "", **fields: Any) -> dict[str, Any]:
    target = {"targetRef": {"kind": "Pod", "name": pod}} if pod else {}
    return {"addresses": [address], "conditions": {"ready": True}, **target, **fields}


def slice_of(name: str, *endpoints: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, **metadata},
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": "grpc", "port": 50051, "protocol": "TCP"}],
    }


class ApiServer:
    """`slices` is what a list says; `send` puts a line on the watch that runs, `end_watch` ends it."""

    def __init__(self) -> None:
        self.slices: list[dict[str, Any]] = []
        self.lists: list[dict[str, str]] = []
        self.watches: list[dict[str, str]] = []
        self.tokens: list[str] = []
        self.paths: list[str] = []
        self.status = 200
        self.url = ""
        self.port = 0
        self.certificates: list[str] = []
        """Whom clients' certificates name."""
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    def send(self, kind: str, changed: dict[str, Any]) -> None:
        self._lines.put_nowait(json.dumps({"type": kind, "object": changed}).encode() + b"\n")

    def end_watch(self) -> None:
        self._lines.put_nowait(None)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers.get("authorization", ""))
        self.paths.append(request.path)
        peer: Any = request.get_extra_info("peercert") or {}
        self.certificates += [name for ((key, name),) in peer.get("subject", ()) if key == "commonName"]
        if self.status != 200:
            return web.json_response({"kind": "Status", "message": "no"}, status=self.status)
        query = dict(request.query)
        if query.get("watch", "").lower() != "true":
            self.lists.append(query)
            return web.json_response({"metadata": {"resourceVersion": str(len(self.lists))}, "items": self.slices})
        self.watches.append(query)
        response = web.StreamResponse()
        await response.prepare(request)
        while (line := await self._lines.get()) is not None:
            # In two parts: a line is not a chunk.
            await response.write(line[:7])
            await response.write(line[7:])
        return response


@asynccontextmanager
async def running_api_server(tls: ssl.SSLContext | None = None) -> AsyncGenerator[ApiServer, None]:
    server = ApiServer()
    application = web.Application()
    application.router.add_get(PATH, server.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        server.port = runner.addresses[0][1]
        server.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.port}"
        yield server
    finally:
        server.end_watch()
        await runner.cleanup()


def kubeconfig(path: Path, url: str, cluster: Mapping[str, str] = {}, user: Mapping[str, str] = TOKEN) -> Path:
    """Write one that has these fields in its cluster and its user."""
    named = {"cluster": "c", "user": "u", "namespace": "models"}
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "here",
                "contexts": [{"name": "here", "context": named}],
                "clusters": [{"name": "c", "cluster": {"server": url, **cluster}}],
                "users": [{"name": "u", "user": dict(user)}],
            }
        )
    )
    return path
