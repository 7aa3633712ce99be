"""An agent on grpcio, with threads."""

import asyncio
import queue
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
from calls import HTTPS, Call, Method, Result, certificates, converse, find_method, goes_in_turn
from google.protobuf.message import Message

COMPRESSIONS = {"": None, "gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}
ALONE = (("grpc.use_local_subchannel_pool", 1),)
"""Else channels of one process share their connections."""


class Requests:
    """Each after its turn, or all at once."""

    def __init__(self, call: Call) -> None:
        in_turn = goes_in_turn(call)
        self._requests = list(call.requests)
        self._in_turn = in_turn
        self._stays_open = in_turn or call.cancel_after == 0
        self._turns: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def __iter__(self) -> Iterator[Message]:
        for position, request in enumerate(self._requests):
            if self._in_turn and position and not self._turns.get():
                return
            yield request
        if self._stays_open:  # until the last one is answered
            self._turns.get()

    def go_on(self, *, is_over: bool = False) -> None:
        self._turns.put(not is_over)


class Channels:
    def __init__(self) -> None:
        self._channels: dict[str, grpc.Channel] = {}

    def get(self, address: str) -> grpc.Channel:
        if address not in self._channels:
            self._channels[address] = connect(address)
        return self._channels[address]


def connect(address: str, options: Sequence[tuple[str, int]] = ()) -> grpc.Channel:
    if not address.startswith(HTTPS):
        return grpc.insecure_channel(address, options)
    ca, cert, key = (file.read_bytes() for file in certificates("agent"))
    return grpc.secure_channel(address.removeprefix(HTTPS), grpc.ssl_channel_credentials(ca, key, cert), options)


def begin(channel: grpc.Channel, call: Call, method: Method, requests: Requests) -> Any:
    makers: dict[tuple[bool, bool], Any] = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }
    maker = makers[method.is_client_stream, method.is_server_stream]
    multicallable = maker(method.path, method.request.SerializeToString, method.response.FromString)
    start = multicallable if method.is_server_stream else multicallable.future
    what = iter(requests) if method.is_client_stream else call.requests[0]
    return start(what, timeout=call.timeout_s, metadata=call.metadata, compression=COMPRESSIONS[call.compression])


def responses(rpc: Any, method: Method) -> Iterator[Message]:
    if method.is_server_stream:
        yield from rpc
    else:
        yield rpc.result()


def make(channel: grpc.Channel, call: Call) -> Result:
    method, result = find_method(call.method), Result()
    requests = Requests(call)
    rpc = begin(channel, call, method, requests)
    try:
        if call.cancel_after == 0:
            rpc.cancel()
        for response in responses(rpc, method):
            result.responses.append(response)
            if len(result.responses) == call.cancel_after:
                rpc.cancel()
            requests.go_on()
    except (grpc.RpcError, grpc.FutureCancelledError):
        pass
    finally:
        requests.go_on(is_over=True)
    result.code, result.message = rpc.code().value[0], rpc.details() or ""
    result.metadata, result.trailers = list(rpc.initial_metadata()), list(rpc.trailing_metadata())
    return result


def answer(channels: Channels, call: Call) -> Result:
    if not call.is_alone:
        return make(channels.get(call.address), call)
    with connect(call.address, ALONE) as channel:
        return make(channel, call)


async def main() -> None:
    channels = Channels()
    await converse(lambda call: asyncio.to_thread(answer, channels, call))


asyncio.run(main())
