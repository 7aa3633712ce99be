"""inference.v1.Inference: what routing reads of its requests."""

from hashlib import blake2b
from math import inf
from typing import Final

from google.protobuf.message import DecodeError

from gateway.dialects import wire
from gateway.dialects.base import Method
from gateway.dialects.prompts import Prompts, Scope
from gateway.errors import Failure, Reason
from gateway.rpc.call import Call
from gateway.types import Facts, Prefix
from inference.v1 import inference_pb2 as pb

SERVICE: Final = "inference.v1.Inference"
_TARGET: Final = b"x-slo-ttft-ms"
"""Metadata in which an agent names the time to first token that it needs."""
_FIXED32_BYTES: Final = 4
_LONG_BYTES: Final = 8 * 1024
"""Of a message, from which on it is worth while to look for its prompt."""

_GENERATED: Final = (pb.GenerateRequest, pb.ChatRequest)
_ROUTED: Final = (pb.GenerateRequest, pb.ChatRequest, pb.EmbedRequest)
Request = pb.GenerateRequest | pb.ChatRequest | pb.EmbedRequest | pb.TokenizeRequest


def methods(prompts: Prompts) -> dict[str, Method]:
    """Return every method by path. ListModels is answered from the fleet, by control."""
    return {
        f"/{SERVICE}/Generate": _method(pb.GenerateRequest, prompts, is_stream=True),
        f"/{SERVICE}/Chat": _method(pb.ChatRequest, prompts, is_stream=True),
        f"/{SERVICE}/Embed": _method(pb.EmbedRequest, prompts, is_stream=False),
        f"/{SERVICE}/Tokenize": _method(pb.TokenizeRequest, prompts, is_stream=False),
    }


def _method(request_type: type[Request], prompts: Prompts, *, is_stream: bool) -> Method:
    def facts(call: Call, message: bytes) -> Facts:
        try:
            request = request_type.FromString(message)
        except DecodeError as error:
            raise Failure(Reason.INVALID_REQUEST, f"malformed {request_type.__name__}: {error}") from error
        return _facts(call, request, message, prompts)

    def rename(facts: Facts) -> bytes:
        renamed = request_type(model=facts.model or "")
        if isinstance(renamed, pb.GenerateRequest | pb.ChatRequest):
            renamed.lora_name = facts.lora_name
        elif facts.lora_name:
            raise Failure(Reason.INVALID_REQUEST, f"{request_type.__name__} has no adapters")
        return renamed.SerializeToString()

    label = request_type.__name__.removesuffix("Request")
    return Method(label=f"{SERVICE}/{label}", facts=facts, rename=rename, reads_request=True, can_continue=is_stream)


def _facts(call: Call, request: Request, message: bytes, prompts: Prompts) -> Facts:
    model, lora_name, cache_salt, session_id, priority = request.model, "", "", "", 0
    if isinstance(request, _GENERATED):
        lora_name, cache_salt = request.lora_name, request.cache_salt
    if isinstance(request, _ROUTED):
        session_id, priority = request.session_id, request.priority
    prefix = _prefix(request, message, (model, lora_name, cache_salt), prompts)
    return Facts(
        method=call.path,
        model=model,
        request_id=request.request_id,
        session_id=session_id,
        lora_name=lora_name,
        cache_salt=cache_salt,
        priority=priority,
        prompt_tokens=prefix.tokens if prefix else _embedded_tokens(request),
        deadline_at=call.deadline_at,
        first_token_target_s=_target_s(call),
        spiffe_id=call.spiffe_id,
        prefix=prefix,
    )


def _prefix(request: Request, message: bytes, scope: Scope, prompts: Prompts) -> Prefix | None:
    if isinstance(request, pb.GenerateRequest):
        if request.HasField("token_ids"):
            return prompts.of_ids(scope, _ids(request, message))
        return prompts.of_text(scope, _text(request, message))
    if isinstance(request, pb.ChatRequest):
        return prompts.of_text(scope, _conversation(request))
    return None


def _text(request: pb.GenerateRequest, message: bytes) -> bytes | memoryview:
    found = wire.field(message, pb.GenerateRequest.TEXT_FIELD_NUMBER) if len(message) >= _LONG_BYTES else None
    return request.text.encode() if found is None else found


def _ids(request: pb.GenerateRequest, message: bytes) -> bytes | memoryview:
    """Return the array that the ids are on the wire, behind its tag and length."""
    token_ids = request.token_ids
    size = _FIXED32_BYTES * len(token_ids.ids)
    outer = wire.field(message, pb.GenerateRequest.TOKEN_IDS_FIELD_NUMBER) if size >= _LONG_BYTES else None
    inner = wire.field(outer, pb.TokenIds.IDS_FIELD_NUMBER) if outer is not None else None
    if inner is not None and len(inner) == size:
        return inner
    token_ids.DiscardUnknownFields()  # which would stand behind it
    return token_ids.SerializeToString()[-size:]


def _conversation(request: pb.ChatRequest) -> bytes:
    """Return bytes that the prompt follows from, in its order: chat templates begin with the tools, and a conversation
    that goes on begins with the same messages. Nearly all of it is their text."""
    tools = [tool.SerializeToString(deterministic=True) for tool in request.tools]
    messages = [_message_bytes(message) for message in request.messages]
    return b"".join([request.template_arguments_json.encode(), *tools, *messages])


def _message_bytes(message: pb.ChatMessage) -> bytes:
    if not any(part.HasField("image") for part in message.parts):
        return message.SerializeToString(deterministic=True)
    # An image is a token count of its own, whatever its bytes: its digest tells it from others.
    short = pb.ChatMessage()
    short.CopyFrom(message)
    for part in short.parts:
        if part.HasField("image"):
            part.image.data = blake2b(part.image.data, digest_size=16).digest()
    return short.SerializeToString(deterministic=True)


def _embedded_tokens(request: Request) -> int:
    """Return the tokens of all inputs, text as one for each 4 bytes; rounded up: no prompt is taken for none."""
    if not isinstance(request, pb.EmbedRequest):
        return 0
    return sum(len(entry.token_ids.ids) or -(-len(entry.text.encode()) // 4) for entry in request.inputs)


def _target_s(call: Call) -> float | None:
    for name, value in call.fields:
        if name == _TARGET:
            try:
                target_s = float(value) / 1000
            except ValueError:
                raise Failure(Reason.INVALID_REQUEST, "x-slo-ttft-ms is no number of milliseconds") from None
            if not 0 < target_s < inf:
                raise Failure(Reason.INVALID_REQUEST, "x-slo-ttft-ms is no number of milliseconds above 0")
            return target_s
    return None
