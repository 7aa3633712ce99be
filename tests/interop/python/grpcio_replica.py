"""A replica of gRPC's test service on grpc.aio. The argument names the descriptor set; a second one asks for TLS."""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from answers import ANSWERS, COMPRESSED, ECHOED_AT_FIRST, ECHOED_AT_LAST, SERVICE, Answer, Status
from calls import certificates, find_method, load_types
from grpc_health.v1 import health, health_pb2_grpc

COMPRESSIONS = {"gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}
CODES = {code.value[0]: code for code in grpc.StatusCode}


def handler(name: str, answer: Answer) -> "grpc.RpcMethodHandler[Any, Any]":
    async def handle(requests: AsyncIterator[Any], context: Any) -> AsyncGenerator[Any]:
        asked = dict(context.invocation_metadata())
        if COMPRESSED in asked:
            context.set_compression(COMPRESSIONS[asked[COMPRESSED]])
        if ECHOED_AT_LAST in asked:
            context.set_trailing_metadata([(ECHOED_AT_LAST, asked[ECHOED_AT_LAST])])
        if ECHOED_AT_FIRST in asked:
            await context.send_initial_metadata([(ECHOED_AT_FIRST, asked[ECHOED_AT_FIRST])])
        try:
            async with aclosing(answer(requests)) as responses:
                async for response in responses:
                    yield response
        except Status as status:
            await context.abort(CODES[status.code], status.message)

    method = find_method(f"{SERVICE}/{name}")
    # On the wire a method without streams is one with streams of one message.
    return grpc.stream_stream_rpc_method_handler(handle, method.request.FromString, method.response.SerializeToString)


def listen(server: grpc.aio.Server) -> int:
    """Whoever comes over TLS has to show a certificate."""
    if not sys.argv[2:]:
        return server.add_insecure_port("127.0.0.1:0")
    ca, cert, key = (file.read_bytes() for file in certificates("replica"))
    credentials = grpc.ssl_server_credentials([(key, cert)], ca, require_client_auth=True)
    return server.add_secure_port("127.0.0.1:0", credentials)


async def main() -> None:
    load_types(Path(sys.argv[1]))
    server = grpc.aio.server()
    handlers = {name: handler(name, answer) for name, answer in ANSWERS.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    port = listen(server)
    await server.start()
    sys.stdout.write(f"listening on 127.0.0.1:{port}\n")
    sys.stdout.flush()
    await server.wait_for_termination()


asyncio.run(main())
