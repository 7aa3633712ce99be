"""An agent on connectrpc and pyqwest, which is hyper below. It has gzip alone."""

import asyncio
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import aclosing
from typing import Any

from calls import HTTPS, Call, Metadata, Method, Result, certificates, converse, find_method, goes_in_turn
from connectrpc.client import ConnectClient, ResponseMetadata
from connectrpc.code import Code
from connectrpc.compat import google_protobuf_binary_codec
from connectrpc.compression.gzip import GzipCompression
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.protocol import ProtocolType
from connectrpc.request import Headers
from google.protobuf.message import Message
from pyqwest import Client, HTTPTransport, HTTPVersion

STREAM_TYPES = {
    (False, False): StreamType.UNARY,
    (False, True): StreamType.SERVER_STREAM,
    (True, False): StreamType.CLIENT_STREAM,
    (True, True): StreamType.BIDI_STREAM,
}
GRPC_CODES = {code: number for number, code in enumerate(Code, 1)}
"""Connect's codes are gRPC's, in the same order, without OK."""
BEGUN_AFTER_S = 0.02


def connect() -> HTTPTransport:
    ca, cert, key = (file.read_bytes() for file in certificates("agent"))
    return HTTPTransport(tls_ca_cert=ca, tls_cert=cert, tls_key=key, http_version=HTTPVersion.HTTP2)


class Clients:
    """That share connections."""

    def __init__(self, transport: HTTPTransport) -> None:
        self._http = Client(transport)
        self._clients: dict[tuple[str, str], ConnectClient] = {}

    def get(self, address: str, compression: str) -> ConnectClient:
        if (address, compression) not in self._clients:
            self._clients[address, compression] = ConnectClient(
                address if address.startswith(HTTPS) else f"http://{address}",
                codec=google_protobuf_binary_codec(),
                protocol=ProtocolType.GRPC,
                send_compression=GzipCompression() if compression == "gzip" else None,
                http_client=self._http,
            )
        return self._clients[address, compression]


async def make(client: ConnectClient, call: Call) -> Result:
    result = Result()
    with ResponseMetadata() as received:
        try:
            # Cancelled as soon as it has begun: there is nothing to wait for, so it is a matter of time.
            async with asyncio.timeout(BEGUN_AFTER_S if call.cancel_after == 0 else None):
                await collect(client, call, result)
        except ConnectError as error:
            result.code, result.message = GRPC_CODES[error.code], error.message
    result.metadata, result.trailers = from_headers(received.headers), from_headers(received.trailers)
    return result


async def collect(client: ConnectClient, call: Call, result: Result) -> None:
    turns = asyncio.Semaphore(0)
    async with aclosing(begin(client, call, turns)) as responses:
        async for response in responses:
            result.responses.append(response)
            if len(result.responses) == call.cancel_after:
                result.code = GRPC_CODES[Code.CANCELED]
                return
            turns.release()


def begin(client: ConnectClient, call: Call, turns: asyncio.Semaphore) -> AsyncGenerator[Any]:
    method = find_method(call.method)
    stream_type = STREAM_TYPES[method.is_client_stream, method.is_server_stream]
    execute: Any = {
        StreamType.UNARY: client.execute_unary,
        StreamType.SERVER_STREAM: client.execute_server_stream,
        StreamType.CLIENT_STREAM: client.execute_client_stream,
        StreamType.BIDI_STREAM: client.execute_bidi_stream,
    }[stream_type]
    executed = execute(
        request=requests(call, turns) if method.is_client_stream else call.requests[0],
        method=info(method, stream_type),
        headers=to_headers(call.metadata),
        timeout_ms=None if call.timeout_s is None else max(1, round(1000 * call.timeout_s)),
    )
    return executed if method.is_server_stream else once(executed)


def info(method: Method, stream_type: StreamType) -> MethodInfo[Any, Any]:
    _, service, name = method.path.split("/")
    return MethodInfo(
        name=name,
        service_name=service,
        input=method.request,
        output=method.response,
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=stream_type,
    )


async def requests(call: Call, turns: asyncio.Semaphore) -> AsyncIterator[Message]:
    for request in call.requests:
        yield request
        if goes_in_turn(call):
            await turns.acquire()
    if call.cancel_after == 0:
        await turns.acquire()


async def once(response: Awaitable[Any]) -> AsyncGenerator[Any]:
    yield await response


def to_headers(metadata: Metadata) -> Headers:
    return Headers([(name, value if isinstance(value, str) else b64encode(value).decode()) for name, value in metadata])


def from_headers(headers: Headers) -> list[tuple[str, str | bytes]]:
    return [(name, b64decode(value + "==") if name.endswith("-bin") else value) for name, value in headers.allitems()]


async def answer(clients: Clients, call: Call) -> Result:
    if not call.is_alone:
        return await make(clients.get(call.address, call.compression), call)
    async with connect() as transport:
        return await make(Clients(transport).get(call.address, call.compression), call)


async def main() -> None:
    clients = Clients(connect())
    await converse(lambda call: answer(clients, call))


asyncio.run(main())
