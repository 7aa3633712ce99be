"""A replica of gRPC's test service on grpclib. The argument names the descriptor set."""

import asyncio
import socket
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

from answers import ANSWERS, ECHOED_AT_FIRST, ECHOED_AT_LAST, SERVICE, Answer
from answers import Status as Refusal
from calls import find_method, load_types
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


async def main() -> None:
    load_types(Path(sys.argv[1]))
    server = Server([TestService(), Health()])
    listening = socket.create_server(("127.0.0.1", 0))
    await server.start(sock=listening)
    sys.stdout.write(f"listening on 127.0.0.1:{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    await server.wait_closed()


asyncio.run(main())
