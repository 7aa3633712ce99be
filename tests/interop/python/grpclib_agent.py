"""An agent on grpclib, which has no compression and shows no trailer of gRPC's own."""

import asyncio
import ssl
from typing import Any

from calls import HTTPS, Call, Result, certificates, converse, find_method, goes_in_turn
from google.rpc import error_details_pb2, status_pb2
from grpclib.client import (
    Channel,
    ServiceMethod,
    StreamStreamMethod,
    StreamUnaryMethod,
    UnaryStreamMethod,
    UnaryUnaryMethod,
)
from grpclib.const import Status
from grpclib.exceptions import GRPCError

KINDS: dict[tuple[bool, bool], type[ServiceMethod[Any, Any]]] = {
    (False, False): UnaryUnaryMethod,
    (False, True): UnaryStreamMethod,
    (True, False): StreamUnaryMethod,
    (True, True): StreamStreamMethod,
}
# grpclib decodes the details whose types are loaded.
KNOWN_DETAILS = (error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo)


class Cancelled(Exception):
    pass


class Channels:
    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}

    def get(self, address: str) -> Channel:
        if address not in self._channels:
            self._channels[address] = connect(address)
        return self._channels[address]


def connect(address: str) -> Channel:
    host, _, port = address.removeprefix(HTTPS).rpartition(":")
    return Channel(host, int(port), ssl=tls() if address.startswith(HTTPS) else None)


def tls() -> ssl.SSLContext:
    ca, cert, key = certificates("agent")
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(cert, key)
    context.set_alpn_protocols(["h2"])
    return context


async def make(channel: Channel, call: Call) -> Result:
    method, result = find_method(call.method), Result()
    kind = KINDS[method.is_client_stream, method.is_server_stream](
        channel, method.path, method.request, method.response
    )
    stream = kind.open(timeout=call.timeout_s, metadata=list(call.metadata))
    try:
        async with stream:
            await exchange(stream, call, result)
    except Cancelled:
        result.code = Status.CANCELLED.value
    except TimeoutError:
        result.code = Status.DEADLINE_EXCEEDED.value
    except GRPCError as error:
        result.code, result.message = error.status.value, error.message or ""
        result.trailers.append(("grpc-status-details-bin", details(error)))
    result.metadata += (stream.initial_metadata or {}).items()
    result.trailers += (stream.trailing_metadata or {}).items()
    return result


async def exchange(stream: Any, call: Call, result: Result) -> None:
    in_turn = goes_in_turn(call)
    await stream.send_request(end=not call.requests and call.cancel_after != 0)
    await cancel_if(stream, call.cancel_after == 0)
    for position, request in enumerate(call.requests):
        is_last = position == len(call.requests) - 1
        await stream.send_message(request, end=is_last and not in_turn)
        if in_turn and not await receive(stream, call, result):
            return
    if in_turn:
        await stream.end()
    while await receive(stream, call, result):
        pass


async def receive(stream: Any, call: Call, result: Result) -> bool:
    response = await stream.recv_message()
    if response is not None:
        result.responses.append(response)
        await cancel_if(stream, len(result.responses) == call.cancel_after)
    return response is not None


async def cancel_if(stream: Any, condition: bool) -> None:
    if condition:
        await stream.cancel()
        raise Cancelled


def details(error: GRPCError) -> bytes:
    status = status_pb2.Status(code=error.status.value, message=error.message or "")
    for each in error.details or ():
        if isinstance(each, KNOWN_DETAILS):
            status.details.add().Pack(each)
    return status.SerializeToString()


async def answer(channels: Channels, call: Call) -> Result:
    if not call.is_alone:
        return await make(channels.get(call.address), call)
    async with connect(call.address) as channel:
        return await make(channel, call)


async def main() -> None:
    channels = Channels()
    await converse(lambda call: answer(channels, call))


asyncio.run(main())
