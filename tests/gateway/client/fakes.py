"""A server that answers as it is told, and remembers what it was asked."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import grpc.aio

from gateway.errors import Failure
from gateway.rpc.status import status_of
from inference.v1 import inference_pb2 as pb
from inference.v1.inference_pb2_grpc import InferenceServicer, add_InferenceServicer_to_server

Response = pb.GenerateResponse | pb.ChatResponse
Context = grpc.aio.ServicerContext[object, object]


def words(*texts: str, usage: pb.Usage | None = None) -> list[pb.GenerateResponse]:
    """One choice of Generate, one message and one token a text."""
    last = len(texts) - 1
    usage = usage or pb.Usage(prompt_tokens=3, completion_tokens=len(texts))
    return [
        pb.GenerateResponse(
            sequence=i,
            text=text,
            token_ids=[100 + i],
            finish_reason=pb.FINISH_REASON_STOP if i == last else pb.FINISH_REASON_UNSPECIFIED,
            usage=usage if i == last else None,
        )
        for i, text in enumerate(texts)
    ]


def said(*contents: str) -> list[pb.ChatResponse]:
    """One choice of Chat that is content alone."""
    deltas = [pb.ChatResponse(sequence=i, content=content, token_ids=[i]) for i, content in enumerate(contents)]
    deltas[-1].finish_reason = pb.FINISH_REASON_STOP
    deltas[-1].usage.CopyFrom(pb.Usage(prompt_tokens=5, completion_tokens=len(contents)))
    return deltas


@dataclass
class Script:
    """One answer: these messages, then a failure or the end."""

    messages: Sequence[Response] = ()
    failure: Failure | None = None
    hangs: bool = False
    """After its messages the stream stays silent until the agent has gone."""


@dataclass
class FakeServer(InferenceServicer):
    """Answers streams by `scripts`, in order; the last one holds for all that follow."""

    scripts: list[Script] = field(default_factory=list[Script])
    requests: list[object] = field(default_factory=list[object])
    metadata: list[dict[str, str | bytes]] = field(default_factory=list[dict[str, str | bytes]])
    time_left_s: list[float] = field(default_factory=list[float])
    peers: list[str] = field(default_factory=list[str])
    running: int = 0
    address: str = ""

    async def Generate(self, request: pb.GenerateRequest, context: Context) -> AsyncIterator[pb.GenerateResponse]:
        async for message in self._play(request, context):
            assert isinstance(message, pb.GenerateResponse)
            yield message

    async def Chat(self, request: pb.ChatRequest, context: Context) -> AsyncIterator[pb.ChatResponse]:
        async for message in self._play(request, context):
            assert isinstance(message, pb.ChatResponse)
            yield message

    async def Embed(self, request: pb.EmbedRequest, context: Context) -> pb.EmbedResponse:
        await self._begin(request, context)
        return pb.EmbedResponse(
            embeddings=[pb.Embedding(values=[float(i), 0.5]) for i, _ in enumerate(request.inputs)],
            usage=pb.Usage(prompt_tokens=7),
        )

    async def Tokenize(self, request: pb.TokenizeRequest, context: Context) -> pb.TokenizeResponse:
        await self._begin(request, context)
        return pb.TokenizeResponse(token_ids=[ord(letter) for letter in request.text], context_tokens=4096)

    async def ListModels(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        await self._begin(request, context)
        return pb.ListModelsResponse(models=[pb.Model(name="tiny", context_tokens=4096, ready_replicas=2)])

    async def is_idle(self) -> None:
        """Return when no stream runs; the agents' leaving takes a moment to arrive."""
        with anyio.fail_after(5):
            while self.running:
                await anyio.sleep(0.005)

    async def _begin(self, request: object, context: Context) -> Script:
        self.requests.append(request)
        self.peers.append(context.peer())
        self.metadata.append(dict(context.invocation_metadata() or ()))
        self.time_left_s.append(context.time_remaining())
        if not self.scripts:
            return Script()
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        if script.failure is not None and not script.messages:
            await abort(context, script.failure)
        return script

    async def _play(self, request: object, context: Context) -> AsyncIterator[Response]:
        script = await self._begin(request, context)
        self.running += 1
        try:
            for message in script.messages:
                yield message
            if script.hangs:
                await anyio.sleep_forever()
            if script.failure is not None:
                await abort(context, script.failure)
        finally:
            self.running -= 1


async def abort(context: Context, failure: Failure) -> None:
    """End the call as our servers do."""
    status = status_of(failure)
    trailers: list[tuple[str, str | bytes]] = [("grpc-status-details-bin", status.details())]
    if (pushback := status.pushback_ms()) is not None:
        trailers.append(("grpc-retry-pushback-ms", pushback.decode()))
    codes = {code.value[0]: code for code in grpc.StatusCode}
    await context.abort(codes[int(status.code)], status.message, tuple(trailers))


@asynccontextmanager
async def serving(
    *scripts: Script, credentials: grpc.ServerCredentials | None = None, options: Iterable[tuple[str, int]] = ()
) -> AsyncGenerator[FakeServer, None]:
    """Run a FakeServer on a free port of loopback."""
    fake = FakeServer(list(scripts))
    server = grpc.aio.server(options=list(options))
    add_InferenceServicer_to_server(fake, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    fake.address = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield fake
    finally:
        await server.stop(0)
