"""inference.v1.Inference over one engine: a request's bytes in, messages out."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from itertools import count
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

from gateway.rpc.status import Failure, Reason
from inference.v1 import inference_pb2 as pb
from serving import validate
from serving.call import Call, Calls, Context
from serving.chat import ChatChoice
from serving.engine import Engine
from serving.load import Cost
from serving.plan import Plan, plan_of
from serving.stream import GenerateChoice, Response, ResponseStream

INFERENCE_SERVICE = "inference.v1.Inference"

Write = Callable[[bytes], Awaitable[None]]
Request = TypeVar(
    "Request", pb.GenerateRequest, pb.ChatRequest, pb.EmbedRequest, pb.TokenizeRequest, pb.ListModelsRequest
)
Result = TypeVar("Result")


class InferenceService:
    """`engine` is set once it has answered a warm-up; until then the lifecycle refuses every call."""

    def __init__(self, calls: Calls, tokenizing: Executor) -> None:
        """`tokenizing` keeps long prompts off the event loop; one thread: tokenizers need not be thread-safe."""
        self.engine: Engine | None = None
        self._calls = calls
        self._tokenizing = tokenizing
        self._ids = count()

    async def generate(self, request: bytes, context: Context) -> None:
        async def respond(call: Call) -> bytes:
            await self._generate(call, parse(pb.GenerateRequest, request), context.write)
            return b""

        await self._calls.run("Generate", context, respond)

    async def chat(self, request: bytes, context: Context) -> None:
        async def respond(call: Call) -> bytes:
            await self._chat(call, parse(pb.ChatRequest, request), context.write)
            return b""

        await self._calls.run("Chat", context, respond)

    async def embed(self, request: bytes, context: Context) -> bytes:
        async def respond(call: Call) -> bytes:
            return (await self._embed(call, parse(pb.EmbedRequest, request))).SerializeToString()

        return await self._calls.run("Embed", context, respond)

    async def tokenize(self, request: bytes, context: Context) -> bytes:
        async def respond(_: Call) -> bytes:
            return (await self._tokenize(parse(pb.TokenizeRequest, request))).SerializeToString()

        return await self._calls.run("Tokenize", context, respond)

    async def list_models(self, request: bytes, context: Context) -> bytes:
        async def respond(_: Call) -> bytes:
            parse(pb.ListModelsRequest, request)
            return self._list_models().SerializeToString()

        return await self._calls.run("ListModels", context, respond)

    async def _generate(self, call: Call, request: pb.GenerateRequest, write: Write) -> None:
        engine = self._running_engine()
        validate.check_names(request, engine.model)
        validate.check_sampling(request.sampling)
        field = request.WhichOneof("prompt") or "prompt"
        prompt = await self._token_ids(engine, request.text, request.token_ids if field == "token_ids" else None)
        plan = plan_of(engine, request, prompt, field, next(self._ids), None)
        sent_bytes = {choice.index: choice.text_bytes for choice in request.continuation.choices}
        choices = {
            index: GenerateChoice(index, transcript, sent_bytes.get(index, 0))
            for index, transcript in plan.transcripts(engine).items()
        }
        await self._send(call, engine, plan, ResponseStream(choices, plan.start), write)

    async def _chat(self, call: Call, request: pb.ChatRequest, write: Write) -> None:
        engine = self._running_engine()
        validate.check_names(request, engine.model)
        validate.check_sampling(request.sampling)
        validate.check_conversation(request.messages, request.tools, request.template_arguments_json)
        validate.check_tool_choice(request)
        demanded = engine.chat.constrain(request)
        prompt = await self._render(engine, request)
        plan = plan_of(engine, request, prompt, "messages", next(self._ids), demanded)
        if engine.chat.needs_special_tokens(request):
            plan = plan.keeping_special_tokens()
        sent = {choice.index: choice for choice in request.continuation.choices}
        choices = {
            index: ChatChoice(index, transcript, engine.chat.parser(request, prompt), sent.get(index))
            for index, transcript in plan.transcripts(engine).items()
        }
        await self._send(call, engine, plan, ResponseStream(choices, plan.start), write)

    async def _send(
        self, call: Call, engine: Engine, plan: Plan, stream: ResponseStream[Response], write: Write
    ) -> None:
        for message in stream.resume():
            await write(message.SerializeToString())
        if stream.is_finished:
            return
        deltas = engine.generate(plan.without(stream.ended))
        try:
            async with aclosing(deltas):
                async for delta in deltas:
                    sent_tokens = stream.new_tokens
                    for message in stream.push(delta):
                        await write(message.SerializeToString())
                    self._calls.took_tokens(call, stream.new_tokens - sent_tokens)
                    if stream.is_finished:
                        return
        finally:
            call.cost = Cost(len(plan.generation.prompt_token_ids), stream.cached_tokens, stream.new_tokens)
        raise Failure(Reason.INTERNAL, "the engine stopped before every choice had ended")

    async def _embed(self, call: Call, request: pb.EmbedRequest) -> pb.EmbedResponse:
        engine = self._running_engine()
        validate.check_embed(request, engine.model)
        inputs = [await self._embed_input(engine, position, each) for position, each in enumerate(request.inputs)]
        dimensions = request.dimensions if request.HasField("dimensions") else None
        name = f"{request.request_id or 'embed'}-{next(self._ids)}"
        vectors = await all_of(
            engine.embed(f"{name}-{position}", token_ids, dimensions) for position, token_ids in enumerate(inputs)
        )
        call.cost = Cost(sum(map(len, inputs)), 0, 0)
        return pb.EmbedResponse(
            embeddings=[pb.Embedding(values=vector) for vector in vectors],
            usage=pb.Usage(prompt_tokens=call.cost.prompt_tokens),
        )

    async def _embed_input(self, engine: Engine, position: int, each: pb.EmbedInput) -> Sequence[int]:
        token_ids = await self._token_ids(engine, each.text, each.token_ids if each.HasField("token_ids") else None)
        validate.check_input(token_ids, position, engine.model)
        return token_ids

    async def _tokenize(self, request: pb.TokenizeRequest) -> pb.TokenizeResponse:
        engine = self._running_engine()
        validate.check_model(request.model, engine.model)
        validate.check_tokenize(request)
        if request.messages:
            token_ids = await self._render(engine, request)
        else:
            token_ids = await self._token_ids(engine, request.text, None)
        return pb.TokenizeResponse(token_ids=token_ids, context_tokens=engine.model.context_tokens)

    def _list_models(self) -> pb.ListModelsResponse:
        model = self._running_engine().model
        described = pb.Model(
            name=model.name,
            context_tokens=model.context_tokens,
            lora_names=model.lora_names,
            kv_cache_tokens=model.kv_cache_tokens,
            ready_replicas=1,
        )
        return pb.ListModelsResponse(models=[described])

    async def _token_ids(self, engine: Engine, text: str, token_ids: pb.TokenIds | None) -> Sequence[int]:
        if token_ids is not None:
            return list(token_ids.ids)
        return await self._in_thread(lambda: engine.tokenizer.encode(text)) if text else []

    async def _render(self, engine: Engine, request: pb.ChatRequest | pb.TokenizeRequest) -> Sequence[int]:
        render = engine.chat.render
        return await self._in_thread(lambda: render(request.messages, request.tools, request.template_arguments_json))

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._tokenizing, work)

    def _running_engine(self) -> Engine:
        assert self.engine is not None, "the lifecycle takes no call before there is an engine"
        return self.engine


async def all_of(works: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Return all results, in order. Raises the first error, when all other work has been cancelled."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


def parse(message: type[Request], serialized: bytes) -> Request:
    """Return the request. Raises Failure where it is malformed."""
    try:
        return message.FromString(serialized)
    except DecodeError as error:
        raise Failure(Reason.INVALID_REQUEST, f"not a {message.DESCRIPTOR.full_name}: {error}") from None


def inference_handler(service: InferenceService) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler(
        INFERENCE_SERVICE,
        {
            "Generate": grpc.unary_stream_rpc_method_handler(service.generate, bytes, bytes),
            "Chat": grpc.unary_stream_rpc_method_handler(service.chat, bytes, bytes),
            "Embed": grpc.unary_unary_rpc_method_handler(service.embed, bytes, bytes),
            "Tokenize": grpc.unary_unary_rpc_method_handler(service.tokenize, bytes, bytes),
            "ListModels": grpc.unary_unary_rpc_method_handler(service.list_models, bytes, bytes),
        },
    )
