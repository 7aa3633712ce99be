"""What a replica of gRPC's test service answers, whatever stack is below it.

Every method is a generator from requests to responses that may end with a Status.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any, TypeAlias

from google.protobuf import descriptor_pool, message_factory

Answer: TypeAlias = Callable[[AsyncIterator[Any]], AsyncGenerator[Any]]

SERVICE = "grpc.testing.TestService"
COMPRESSED = "x-grpc-test-compressed"
"""Metadata that asks for a compressed response, where the stack can choose: gzip or deflate."""
ECHOED_AT_FIRST = "x-grpc-test-echo-initial"
ECHOED_AT_LAST = "x-grpc-test-echo-trailing-bin"


class Status(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def message(name: str, **fields: object) -> Any:
    descriptor = descriptor_pool.Default().FindMessageTypeByName(f"grpc.testing.{name}")
    return message_factory.GetMessageClass(descriptor)(**fields)


def payload(size: int) -> Any:
    return message("Payload", body=bytes(size))


async def empty_call(requests: AsyncIterator[Any]) -> AsyncGenerator[Any]:
    async for _ in requests:
        yield message("Empty")


async def unary_call(requests: AsyncIterator[Any]) -> AsyncGenerator[Any]:
    async for request in requests:
        check(request)
        yield message("SimpleResponse", payload=payload(request.response_size))


async def streaming_output_call(requests: AsyncIterator[Any]) -> AsyncGenerator[Any]:
    async for request in requests:
        check(request)
        for parameters in request.response_parameters:
            await asyncio.sleep(parameters.interval_us / 1e6)
            yield message("StreamingOutputCallResponse", payload=payload(parameters.size))


async def streaming_input_call(requests: AsyncIterator[Any]) -> AsyncGenerator[Any]:
    size = 0
    async for request in requests:
        size += len(request.payload.body)
    yield message("StreamingInputCallResponse", aggregated_payload_size=size)


def check(request: Any) -> None:
    if request.response_status.code:
        raise Status(request.response_status.code, request.response_status.message)


ANSWERS: Mapping[str, Answer] = {
    "EmptyCall": empty_call,
    "UnaryCall": unary_call,
    "StreamingOutputCall": streaming_output_call,
    "StreamingInputCall": streaming_input_call,
    "FullDuplexCall": streaming_output_call,
}
