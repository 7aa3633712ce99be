"""The agents' stub on asyncio."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing, suppress
from itertools import cycle
from types import TracebackType
from typing import Any, Generic, Self, Unpack

import grpc.aio
from google.protobuf.message import Message as Proto

from gateway.client import requests
from gateway.client.assembly import Assembly, DeltaT, ResultT
from gateway.client.connection import Endpoint
from gateway.client.errors import InferenceError
from gateway.client.messages import AnyMessage
from gateway.client.options import (
    CallOptions,
    ChatOptions,
    ClientOptions,
    EmbedOptions,
    GenerateOptions,
    TokenizeOptions,
)
from gateway.client.requests import Prompt, StreamCall, UnaryCall
from gateway.client.results import ChatDelta, Completion, Embeddings, GenerateDelta, Model, Reply, Tokens
from gateway.client.session import Session
from gateway.client.translation import cancelled, error_of


class Client:
    """Talks to a gateway or to a replica.

        async with Client("127.0.0.1:8080", timeout_s=60) as client:
            async for delta in client.generate("Once upon a time", max_tokens=100):
                print(delta.text, end="")

    Calls raise InferenceError (gateway.client.errors). One client serves any number of tasks of one event loop.
    """

    def __init__(self, address: str, **options: Unpack[ClientOptions]) -> None:
        """`address` is HOST:PORT, or any other target of gRPC, for example unix:/run/gateway.sock."""
        self._endpoint = Endpoint(address, options)
        self._rpcs = _Rpcs(self._endpoint)

    def generate(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> "Stream[GenerateDelta, Completion]":
        """Continue a prompt: text, or token ids."""
        return Stream(self._rpcs, requests.generate(prompt, self._endpoint.with_defaults(options)))

    def chat(self, messages: Iterable[AnyMessage], **options: Unpack[ChatOptions]) -> "Stream[ChatDelta, Reply]":
        """Answer a conversation: Messages, or dicts like {"role": "user", "content": "hi"}."""
        return self._chat(messages, options)

    def session(
        self, messages: Iterable[AnyMessage] = (), **options: Unpack[ChatOptions]
    ) -> "Session[Stream[ChatDelta, Reply]]":
        """Begin a conversation, or take up the one that consists of `messages`. `options` hold for all its turns."""
        return Session(self._chat, messages, self._endpoint.with_session(options))

    async def embed(self, inputs: Sequence[Prompt], **options: Unpack[EmbedOptions]) -> Embeddings:
        """Return one vector for each input."""
        return await self._rpcs.ask(requests.embed(inputs, self._endpoint.with_defaults(options)))

    async def tokenize(self, prompt: str | Sequence[AnyMessage], **options: Unpack[TokenizeOptions]) -> Tokens:
        """Return the token ids that a prompt or a conversation would have."""
        return await self._rpcs.ask(requests.tokenize(prompt, self._endpoint.with_defaults(options)))

    async def models(self, **options: Unpack[CallOptions]) -> list[Model]:
        """List the models that are served."""
        return await self._rpcs.ask(requests.list_models(self._endpoint.with_defaults(options)))

    async def close(self) -> None:
        """Close the connections; what still runs on them is cancelled."""
        await self._rpcs.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Client {self._endpoint.address}>"

    def _chat(
        self, messages: Iterable[AnyMessage], options: ChatOptions, on_result: Callable[[Reply], None] | None = None
    ) -> "Stream[ChatDelta, Reply]":
        return Stream(self._rpcs, requests.chat(messages, self._endpoint.with_defaults(options)), on_result)


class Stream(Generic[DeltaT, ResultT]):
    """One answer on its way. It is asked for when it is first read, and can be read once.

    Whatever ends the reading (its end, an error, `break`, a cancelled task) ends the request on the server too. A
    stream that may be kept half read is best held by `async with`.
    """

    def __init__(
        self,
        rpcs: "_Rpcs",
        call: StreamCall[Any, DeltaT, ResultT],
        on_result: Callable[[ResultT], None] | None = None,
    ) -> None:
        self._rpcs = rpcs
        self._call = call
        self._on_result = on_result
        self._rpc: grpc.aio.UnaryStreamCall[Proto, Any] | None = None
        self._is_begun = False
        self._cancelled = asyncio.Event()
        self._result: ResultT | None = None

    def __aiter__(self) -> AsyncIterator[DeltaT]:
        """Yield deltas as they come."""
        return self._read(may_restart=False)

    async def collect(self) -> ResultT:
        """Read to the end and return everything assembled. After an `async for` that reached the end: what it read."""
        if self._result is None:
            async with aclosing(self._read(may_restart=True)) as deltas:
                async for _ in deltas:
                    pass
        assert self._result is not None
        return self._result

    def cancel(self) -> None:
        """End the request. Whoever reads the stream gets Cancelled. Once it has ended, this does nothing."""
        self._cancelled.set()
        if self._rpc is not None:
            self._rpc.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()

    async def _read(self, *, may_restart: bool) -> AsyncGenerator[DeltaT, None]:
        if self._is_begun:
            raise RuntimeError("a stream can be read once")
        self._is_begun = True
        attempts = self._rpcs.endpoint.attempts(self._call.options)
        while self._result is None:
            assembly = self._call.assembly()
            try:
                async with aclosing(self._attempt(assembly, attempts.timeout_s())) as deltas:
                    async for delta in deltas:
                        yield delta
                self._finish(assembly.result())
            except InferenceError as error:
                if not (assembly.is_empty or may_restart):
                    raise
                await self._pause(attempts.wait_s(error))

    async def _attempt(
        self, assembly: Assembly[Any, DeltaT, ResultT], timeout_s: float | None
    ) -> AsyncGenerator[DeltaT, None]:
        if self._cancelled.is_set():
            raise cancelled()
        self._rpc = rpc = self._rpcs.open(self._call, timeout_s)
        try:
            while (response := await rpc.read()) is not grpc.aio.EOF:
                yield assembly.add(response)
        except grpc.aio.AioRpcError as error:
            raise error_of(error) from error
        except asyncio.CancelledError:
            # grpc.aio raises this for a call that we cancelled, as if the reading task had been cancelled.
            task = asyncio.current_task()
            if self._cancelled.is_set() and not (task and task.cancelling()):
                raise cancelled() from None
            raise
        finally:
            rpc.cancel()  # A call that is merely dropped runs on (grpc/grpc#43462).

    async def _pause(self, wait_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._cancelled.wait()

    def _finish(self, result: ResultT) -> None:
        self._result = result
        if self._on_result is not None:
            self._on_result(result)


class _Rpcs:
    """Makes RPCs, taking turns on the connections. A channel belongs to the event loop in which it was made, so they
    are made for the first call."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._channels: list[grpc.aio.Channel] = []
        self._turns = cycle(self._channels)

    def open(self, call: StreamCall[Any, Any, Any], timeout_s: float | None) -> grpc.aio.UnaryStreamCall[Proto, Any]:
        method = self._channel().unary_stream(call.path, type(call.request).SerializeToString, call.response.FromString)
        return method(call.request, timeout=timeout_s, metadata=self.endpoint.metadata(call.options))

    async def ask(self, call: UnaryCall[Any, ResultT]) -> ResultT:
        method = self._channel().unary_unary(call.path, type(call.request).SerializeToString, call.response.FromString)
        metadata = self.endpoint.metadata(call.options)
        attempts = self.endpoint.attempts(call.options)
        while True:
            try:
                return call.read(await method(call.request, timeout=attempts.timeout_s(), metadata=metadata))
            except grpc.aio.AioRpcError as error:
                await asyncio.sleep(attempts.wait_s(error_of(error)))

    async def close(self) -> None:
        for channel in self._channels:
            await channel.close()

    def _channel(self) -> grpc.aio.Channel:
        if not self._channels:
            self._channels += self.endpoint.aio_channels()
        return next(self._turns)
