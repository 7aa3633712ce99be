"""Builds the contract's requests. Pure; the same for both clients.

A wrong type, name or combination is a defect of the caller and raises TypeError or ValueError here; ranges are the
server's to judge (InvalidRequest).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message as Proto

from gateway.client.assembly import (
    Assembly,
    ChatAssembly,
    DeltaT,
    GenerateAssembly,
    ResponseT,
    ResultT,
    usage_of,
)
from gateway.client.messages import AnyMessage, encode_messages, encode_tool_choice, encode_tools
from gateway.client.options import (
    CallOptions,
    ChatOptions,
    EmbedOptions,
    GenerateOptions,
    ModelOptions,
    SamplingOptions,
    TokenizeOptions,
)
from gateway.client.results import ChatDelta, Completion, Embeddings, GenerateDelta, Model, Reply, Tokens
from inference.v1 import inference_pb2 as pb

Prompt = str | Sequence[int]
"""Text, or token ids."""

_SERVICE = "/inference.v1.Inference/"
_STRUCTURED = ("json_schema", "regex", "grammar", "choice")
_ROUTING = ("model", "request_id", "session_id", "priority", "cache_salt", "lora_name")

UnaryResponseT = TypeVar("UnaryResponseT", bound=Proto)


@dataclass(frozen=True, slots=True)
class UnaryCall(Generic[UnaryResponseT, ResultT]):
    """One unary RPC to be made."""

    path: str
    request: Proto
    response: type[UnaryResponseT]
    options: CallOptions
    read: Callable[[UnaryResponseT], ResultT]


@dataclass(frozen=True, slots=True)
class StreamCall(Generic[ResponseT, DeltaT, ResultT]):
    """One streaming RPC to be made."""

    path: str
    request: Proto
    response: type[ResponseT]
    options: CallOptions
    assembly: Callable[[], Assembly[ResponseT, DeltaT, ResultT]]
    """Makes an empty one for each attempt."""


GenerateCall = StreamCall[pb.GenerateResponse, GenerateDelta, Completion]
ChatCall = StreamCall[pb.ChatResponse, ChatDelta, Reply]


def check_names(options: Mapping[str, object], known: AbstractSet[str]) -> None:
    """Raise TypeError for an option that is not known: a misspelt one must not be dropped in silence."""
    if unknown := options.keys() - known:
        raise TypeError(f"no such option: {', '.join(sorted(unknown))}")


def generate(prompt: Prompt, options: GenerateOptions) -> GenerateCall:
    check_names(options, GenerateOptions.__optional_keys__)
    request = pb.GenerateRequest(**_routing(options), sampling=_sampling(options))
    if isinstance(prompt, str):
        request.text = prompt
    else:
        request.token_ids.CopyFrom(_token_ids(prompt))
    return StreamCall(
        _SERVICE + "Generate", request, pb.GenerateResponse, options, lambda: GenerateAssembly(options.get("n", 1))
    )


def chat(messages: Iterable[AnyMessage], options: ChatOptions) -> ChatCall:
    check_names(options, ChatOptions.__optional_keys__)
    choice = options.get("tool_choice")
    request = pb.ChatRequest(
        **_routing(options),
        sampling=_sampling(options),
        messages=encode_messages(messages),
        tools=encode_tools(options.get("tools", ())),
        tool_choice=None if choice is None else encode_tool_choice(choice),
        template_arguments_json=_json(options.get("template_arguments")),
    )
    return StreamCall(_SERVICE + "Chat", request, pb.ChatResponse, options, lambda: ChatAssembly(options.get("n", 1)))


def embed(inputs: Sequence[Prompt], options: EmbedOptions) -> UnaryCall[pb.EmbedResponse, Embeddings]:
    check_names(options, EmbedOptions.__optional_keys__)
    if isinstance(inputs, str):
        raise TypeError("embed takes a sequence of inputs")
    request = pb.EmbedRequest(
        **_routing(options), inputs=[_embed_input(item) for item in inputs], dimensions=options.get("dimensions")
    )
    return UnaryCall(_SERVICE + "Embed", request, pb.EmbedResponse, options, _embeddings)


def tokenize(prompt: str | Sequence[AnyMessage], options: TokenizeOptions) -> UnaryCall[pb.TokenizeResponse, Tokens]:
    check_names(options, TokenizeOptions.__optional_keys__)
    request = pb.TokenizeRequest(
        **_routing(options),
        tools=encode_tools(options.get("tools", ())),
        template_arguments_json=_json(options.get("template_arguments")),
    )
    if isinstance(prompt, str):
        request.text = prompt
    else:
        request.messages.extend(encode_messages(prompt))
    return UnaryCall(_SERVICE + "Tokenize", request, pb.TokenizeResponse, options, _tokens)


def list_models(options: CallOptions) -> UnaryCall[pb.ListModelsResponse, list[Model]]:
    check_names(options, ModelOptions.__optional_keys__)
    return UnaryCall(_SERVICE + "ListModels", pb.ListModelsRequest(), pb.ListModelsResponse, options, _models)


def _routing(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in _ROUTING if name in options}


def _sampling(options: SamplingOptions) -> pb.SamplingParameters:
    known = SamplingOptions.__optional_keys__
    fields: dict[str, Any] = {name: value for name, value in options.items() if name in known}
    structured = [name for name in _STRUCTURED if name in fields]
    if len(structured) > 1:
        raise ValueError(f"only one of {' and '.join(structured)} can be asked for")
    if "choice" in fields:
        fields["choice"] = pb.Alternatives(texts=fields["choice"])
    if "json_schema" in fields:
        fields["json_schema"] = _json(fields["json_schema"])
    return pb.SamplingParameters(**fields)


def _json(value: str | Mapping[str, Any] | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def _token_ids(prompt: Sequence[int]) -> pb.TokenIds:
    if isinstance(prompt, bytes):
        raise TypeError("a prompt is text or token ids, not bytes")
    return pb.TokenIds(ids=prompt)


def _embed_input(item: Prompt) -> pb.EmbedInput:
    return pb.EmbedInput(text=item) if isinstance(item, str) else pb.EmbedInput(token_ids=_token_ids(item))


def _embeddings(response: pb.EmbedResponse) -> Embeddings:
    return Embeddings(tuple(tuple(vector.values) for vector in response.embeddings), usage_of(response.usage))


def _tokens(response: pb.TokenizeResponse) -> Tokens:
    return Tokens(tuple(response.token_ids), response.context_tokens)


def _models(response: pb.ListModelsResponse) -> list[Model]:
    return [
        Model(model.name, model.context_tokens, tuple(model.lora_names), model.kv_cache_tokens, model.ready_replicas)
        for model in response.models
    ]
