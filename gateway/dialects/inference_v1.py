"""inference.v1.Inference: what routing reads of its requests."""

from collections.abc import Iterable

from google.protobuf.message import DecodeError

from gateway.dialects.base import Method
from gateway.errors import Failure, Reason
from gateway.rpc.call import Call
from gateway.types import Facts
from inference.v1 import inference_pb2 as pb

SERVICE = "inference.v1.Inference"
_BYTES_PER_TOKEN = 4
"""English text in the tokenizers of current models; ids are counted instead where a request carries them."""

Request = pb.GenerateRequest | pb.ChatRequest | pb.EmbedRequest | pb.TokenizeRequest


def methods() -> dict[str, Method]:
    """Return every method by path. ListModels is answered from the fleet, by control."""
    return {
        f"/{SERVICE}/Generate": _method(pb.GenerateRequest, is_stream=True),
        f"/{SERVICE}/Chat": _method(pb.ChatRequest, is_stream=True),
        f"/{SERVICE}/Embed": _method(pb.EmbedRequest, is_stream=False),
        f"/{SERVICE}/Tokenize": _method(pb.TokenizeRequest, is_stream=False),
    }


def _method(request_type: type[Request], *, is_stream: bool) -> Method:
    def facts(call: Call, message: bytes) -> Facts:
        try:
            request = request_type.FromString(message)
        except DecodeError as error:
            raise Failure(Reason.INVALID_REQUEST, f"malformed {request_type.__name__}: {error}") from error
        return _facts(call, request)

    def rename(message: bytes, facts: Facts) -> bytes:
        renamed = request_type(model=facts.model or "")
        if isinstance(renamed, pb.GenerateRequest | pb.ChatRequest):
            renamed.lora_name = facts.lora_name
        elif facts.lora_name:
            raise Failure(Reason.INVALID_REQUEST, f"{request_type.__name__} has no adapters")
        # Of a field that stands there twice the last counts (protobuf's encoding, "Last One Wins").
        return message + renamed.SerializeToString()

    label = request_type.__name__.removesuffix("Request")
    return Method(label=f"{SERVICE}/{label}", facts=facts, rename=rename, reads_request=True, can_continue=is_stream)


def _facts(call: Call, request: Request) -> Facts:
    routed = None if isinstance(request, pb.TokenizeRequest) else request
    generated = request if isinstance(request, pb.GenerateRequest | pb.ChatRequest) else None
    return Facts(
        method=call.path,
        model=request.model,
        request_id=request.request_id,
        session_id=routed.session_id if routed else "",
        lora_name=generated.lora_name if generated else "",
        cache_salt=generated.cache_salt if generated else "",
        priority=routed.priority if routed else 0,
        prompt_tokens=_prompt_tokens(request),
        deadline_at=call.deadline_at,
        spiffe_id=call.spiffe_id,
    )


def _prompt_tokens(request: Request) -> int:
    if isinstance(request, pb.GenerateRequest):
        return len(request.token_ids.ids) or _text_tokens([request.text])
    if isinstance(request, pb.ChatRequest):
        return _text_tokens(part.text for message in request.messages for part in message.parts)
    if isinstance(request, pb.EmbedRequest):
        return sum(len(entry.token_ids.ids) or _text_tokens([entry.text]) for entry in request.inputs)
    return 0


def _text_tokens(texts: Iterable[str]) -> int:
    """Round up, so that a prompt is never taken for none."""
    return -(-sum(len(text.encode()) for text in texts) // _BYTES_PER_TOKEN)
