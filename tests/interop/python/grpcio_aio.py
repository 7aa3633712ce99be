"""An agent on grpc.aio."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import grpc
import grpc.aio
from calls import HTTPS, Call, Method, Result, certificates, converse, find_method, goes_in_turn
from google.protobuf.message import Message

FORGOTTEN = "Internal error from Core"
"""What grpc.aio makes of a status that came while it was writing: one in some thousand refused calls."""
COMPRESSIONS = {"": None, "gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}


ALONE = (("grpc.use_local_subchannel_pool", 1),)
"""Else channels of one process share their connections."""


class Channels:
    def __init__(self) -> None:
        self._channels: dict[str, grpc.aio.Channel] = {}

    def get(self, address: str) -> grpc.aio.Channel:
        if address not in self._channels:
            self._channels[address] = connect(address)
        return self._channels[address]


def connect(address: str, options: Sequence[tuple[str, int]] = ()) -> grpc.aio.Channel:
    if not address.startswith(HTTPS):
        return grpc.aio.insecure_channel(address, options)
    ca, cert, key = (file.read_bytes() for file in certificates("agent"))
    credentials = grpc.ssl_channel_credentials(ca, key, cert)
    return grpc.aio.secure_channel(address.removeprefix(HTTPS), credentials, options)


def begin(channel: grpc.aio.Channel, call: Call, method: Method, turns: asyncio.Semaphore) -> Any:
    makers: dict[tuple[bool, bool], Any] = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }
    maker = makers[method.is_client_stream, method.is_server_stream]
    start = maker(method.path, method.request.SerializeToString, method.response.FromString)
    what = requests(call, turns) if method.is_client_stream else call.requests[0]
    return start(what, timeout=call.timeout_s, metadata=call.metadata, compression=COMPRESSIONS[call.compression])


async def requests(call: Call, turns: asyncio.Semaphore) -> AsyncIterator[Message]:
    for request in call.requests:
        yield request
        if goes_in_turn(call):
            await turns.acquire()
    if call.cancel_after == 0:
        await turns.acquire()


async def responses(rpc: Any, method: Method) -> AsyncIterator[Message]:
    if method.is_server_stream:
        async for response in rpc:
            yield response
    else:
        yield await rpc


async def make(channel: grpc.aio.Channel, call: Call) -> Result:
    method, result, turns = find_method(call.method), Result(), asyncio.Semaphore(0)
    rpc = begin(channel, call, method, turns)
    try:
        if call.cancel_after == 0:
            rpc.cancel()
        async for response in responses(rpc, method):
            result.responses.append(response)
            if len(result.responses) == call.cancel_after:
                rpc.cancel()
            turns.release()
    except (grpc.RpcError, asyncio.CancelledError):
        pass
    result.code, result.message = (await rpc.code()).value[0], await rpc.details() or ""
    result.metadata, result.trailers = list(await rpc.initial_metadata()), list(await rpc.trailing_metadata())
    return result


async def make_again(channel: grpc.aio.Channel, call: Call) -> Result:
    result = await make(channel, call)
    return await make(channel, call) if result.message == FORGOTTEN else result


async def answer(channels: Channels, call: Call) -> Result:
    if not call.is_alone:
        return await make_again(channels.get(call.address), call)
    async with connect(call.address, ALONE) as channel:
        return await make_again(channel, call)


async def main() -> None:
    channels = Channels()
    await converse(lambda call: answer(channels, call))


asyncio.run(main())
