"""The agents' stub without asyncio: as gateway.client.client, for threads."""

import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import cycle
from types import TracebackType
from typing import Any, Generic, Protocol, Self, Unpack

import grpc

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


class _Rpc(Protocol):
    """A running call of gRPC's sync API, which does not name this type."""

    def __iter__(self) -> Iterator[Any]: ...
    def cancel(self) -> bool: ...


class SyncClient:
    """Talks to a gateway or to a replica.

        with SyncClient("127.0.0.1:8080", timeout_s=60) as client:
            for delta in client.generate("Once upon a time", max_tokens=100):
                print(delta.text, end="")

    Calls raise InferenceError (gateway.client.errors). One client serves any number of threads.
    """

    def __init__(self, address: str, **options: Unpack[ClientOptions]) -> None:
        """`address` is HOST:PORT, or any other target of gRPC, for example unix:/run/gateway.sock."""
        self._endpoint = Endpoint(address, options)
        self._rpcs = _Rpcs(self._endpoint)

    def generate(self, prompt: Prompt, **options: Unpack[GenerateOptions]) -> "SyncStream[GenerateDelta, Completion]":
        """Continue a prompt: text, or token ids."""
        return SyncStream(self._rpcs, requests.generate(prompt, self._endpoint.with_defaults(options)))

    def chat(self, messages: Iterable[AnyMessage], **options: Unpack[ChatOptions]) -> "SyncStream[ChatDelta, Reply]":
        """Answer a conversation: Messages, or dicts like {"role": "user", "content": "hi"}."""
        return self._chat(messages, options)

    def session(
        self, messages: Iterable[AnyMessage] = (), **options: Unpack[ChatOptions]
    ) -> "Session[SyncStream[ChatDelta, Reply]]":
        """Begin a conversation, or take up the one that consists of `messages`. `options` hold for all its turns."""
        return Session(self._chat, messages, self._endpoint.with_session(options))

    def embed(self, inputs: Sequence[Prompt], **options: Unpack[EmbedOptions]) -> Embeddings:
        """Return one vector for each input."""
        return self._rpcs.ask(requests.embed(inputs, self._endpoint.with_defaults(options)))

    def tokenize(self, prompt: str | Sequence[AnyMessage], **options: Unpack[TokenizeOptions]) -> Tokens:
        """Return the token ids that a prompt or a conversation would have."""
        return self._rpcs.ask(requests.tokenize(prompt, self._endpoint.with_defaults(options)))

    def models(self, **options: Unpack[CallOptions]) -> list[Model]:
        """List the models that are served."""
        return self._rpcs.ask(requests.list_models(self._endpoint.with_defaults(options)))

    def close(self) -> None:
        """Close the connections; what still runs on them is cancelled."""
        self._rpcs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<SyncClient {self._endpoint.address}>"

    def _chat(
        self, messages: Iterable[AnyMessage], options: ChatOptions, on_result: Callable[[Reply], None] | None = None
    ) -> "SyncStream[ChatDelta, Reply]":
        return SyncStream(self._rpcs, requests.chat(messages, self._endpoint.with_defaults(options)), on_result)


class SyncStream(Generic[DeltaT, ResultT]):
    """One answer on its way. It is asked for when it is first read, and can be read once.

    Whatever ends the reading (its end, an error, `break`) ends the request on the server too. A stream that may be
    kept half read is best held by `with`.
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
        self._rpc: _Rpc | None = None
        self._is_begun = False
        self._cancelled = threading.Event()
        self._result: ResultT | None = None

    def __iter__(self) -> Iterator[DeltaT]:
        """Yield deltas as they come."""
        return self._read(may_restart=False)

    def collect(self) -> ResultT:
        """Read to the end and return everything assembled. After a `for` that reached the end: what it read."""
        if self._result is None:
            for _ in self._read(may_restart=True):
                pass
        assert self._result is not None
        return self._result

    def cancel(self) -> None:
        """End the request, from any thread. Whoever reads the stream gets Cancelled. Once it has ended, this does
        nothing."""
        self._cancelled.set()
        if self._rpc is not None:
            self._rpc.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.cancel()

    def _read(self, *, may_restart: bool) -> Generator[DeltaT, None, None]:
        if self._is_begun:
            raise RuntimeError("a stream can be read once")
        self._is_begun = True
        attempts = self._rpcs.endpoint.attempts(self._call.options)
        while self._result is None:
            assembly = self._call.assembly()
            try:
                with closing(self._attempt(assembly, attempts.timeout_s())) as deltas:
                    yield from deltas
                self._finish(assembly.result())
            except InferenceError as error:
                if not (assembly.is_empty or may_restart):
                    raise
                self._cancelled.wait(attempts.wait_s(error))

    def _attempt(
        self, assembly: Assembly[Any, DeltaT, ResultT], timeout_s: float | None
    ) -> Generator[DeltaT, None, None]:
        self._rpc = rpc = self._rpcs.open(self._call, timeout_s)
        try:
            if self._cancelled.is_set():  # Read after the assignment, so that `cancel` in another thread is not missed.
                raise cancelled()
            for response in rpc:
                yield assembly.add(response)
        except grpc.RpcError as error:
            raise error_of(error) from error
        finally:
            rpc.cancel()

    def _finish(self, result: ResultT) -> None:
        self._result = result
        if self._on_result is not None:
            self._on_result(result)


class _Rpcs:
    """Makes RPCs, taking turns on the connections."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._channels = endpoint.channels()
        self._turns = cycle(self._channels)

    def open(self, call: StreamCall[Any, Any, Any], timeout_s: float | None) -> _Rpc:
        method = next(self._turns).unary_stream(
            call.path, type(call.request).SerializeToString, call.response.FromString
        )
        return method(call.request, timeout=timeout_s, metadata=self.endpoint.metadata(call.options))

    def ask(self, call: UnaryCall[Any, ResultT]) -> ResultT:
        method = next(self._turns).unary_unary(
            call.path, type(call.request).SerializeToString, call.response.FromString
        )
        metadata = self.endpoint.metadata(call.options)
        attempts = self.endpoint.attempts(call.options)
        pause = threading.Event()
        while True:
            try:
                return call.read(method(call.request, timeout=attempts.timeout_s(), metadata=metadata))
            except grpc.RpcError as error:
                pause.wait(attempts.wait_s(error_of(error)))

    def close(self) -> None:
        for channel in self._channels:
            channel.close()
