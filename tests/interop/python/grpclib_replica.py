"""A replica of gRPC's test service on grpclib. The argument names the descriptor set; a second one asks for TLS."""

import asyncio
import socket
import ssl
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

from answers import ANSWERS, ECHOED_AT_FIRST, ECHOED_AT_LAST, SERVICE, Answer
from answers import Status as Refusal
from calls import certificates, find_method, load_types
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError
from grpclib.health.service import Health
from grpclib.server import Server


def handler(name: str, answer: Answer) -> Handler:
    method = find_method(f"{SERVICE}/{name}")

    async def handle(stream: Any) -> None:
        asked = stream.metadata
        if ECHOED_AT_FIRST in asked:
            await stream.send_initial_metadata(metadata={ECHOED_AT_FIRST: asked[ECHOED_AT_FIRST]})
        try:
            async with aclosing(answer(stream)) as responses:
                async for response in responses:
                    await stream.send_message(response)
        except Refusal as refusal:
            raise GRPCError(Status(refusal.code), refusal.message) from None
        if ECHOED_AT_LAST in asked:
            await stream.send_trailing_metadata(metadata={ECHOED_AT_LAST: asked[ECHOED_AT_LAST]})

    cardinality = Cardinality((method.is_client_stream, method.is_server_stream))
    return Handler(handle, cardinality, method.request, method.response)


class TestService:
    def __mapping__(self) -> dict[str, Handler]:
        return {f"/{SERVICE}/{name}": handler(name, answer) for name, answer in ANSWERS.items()}


def tls() -> ssl.SSLContext:
    """Whoever comes has to show a certificate."""
    ca, cert, key = certificates("replica")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["h2"])
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def main() -> None:
    load_types(Path(sys.argv[1]))
    server = Server([TestService(), Health()])
    listening = socket.create_server(("127.0.0.1", 0))
    await server.start(sock=listening, ssl=tls() if sys.argv[2:] else None)
    sys.stdout.write(f"listening on 127.0.0.1:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    await server.wait_closed()


asyncio.run(main())
