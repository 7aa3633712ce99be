"""From the contract to what an engine takes: defaults and range checks. Every refusal names the field. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import msgspec

from gateway.rpc.status import Failure, Reason
from inference.v1 import inference_pb2 as pb
from serving.engine import EngineModel, Sampling
from serving.stream import Start
from serving.text import TextRules

AnyRequest = pb.GenerateRequest | pb.ChatRequest

MAX_SESSION_ID_BYTES = 256
MAX_STOP_STRINGS = 16
MAX_EMBED_INPUTS = 2048


@dataclass(frozen=True, slots=True)
class Range:
    low: float
    high: float
    excludes_low: bool = False

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.excludes_low else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        bounds = f"{'above' if self.excludes_low else 'at least'} {self.low:g}"
        return f"{bounds}, at most {self.high:g}" if isfinite(self.high) else bounds


_INFINITE = float("inf")

# The contract's comments say the same.
RANGES: Mapping[str, Range] = {
    "temperature": Range(0, 2),
    "top_p": Range(0, 1, excludes_low=True),
    "min_p": Range(0, 1),
    "presence_penalty": Range(-2, 2),
    "frequency_penalty": Range(-2, 2),
    "repetition_penalty": Range(0, 1e6, excludes_low=True),
    "max_tokens": Range(1, _INFINITE),
    "n": Range(1, 128),
    "logprobs": Range(0, 20),
}
_LOGIT_BIAS = Range(-100, 100)


def invalid(field: str, message: str) -> Failure:
    """Return INVALID_ARGUMENT that names the field."""
    return Failure(Reason.INVALID_REQUEST, f"{field}: {message}", metadata={"field": field})


def check_model(name: str, model: EngineModel) -> None:
    """Raise NOT_FOUND unless `name` is what is served here; an empty name is."""
    if name and name != model.name:
        message = f"model {name!r} is not served here, {model.name!r} is"
        raise Failure(Reason.MODEL_NOT_FOUND, message, metadata={"model": name})


def check_names(request: AnyRequest, model: EngineModel) -> None:
    """Check what a request says about itself, before its prompt is tokenized."""
    check_model(request.model, model)
    if request.lora_name and request.lora_name not in model.lora_names:
        message = f"adapter {request.lora_name!r} is not served here"
        raise Failure(Reason.MODEL_NOT_FOUND, message, metadata={"field": "lora_name", "model": model.name})
    if len(request.session_id.encode()) > MAX_SESSION_ID_BYTES:
        raise invalid("session_id", f"longer than {MAX_SESSION_ID_BYTES} bytes")


def check_prompt(token_ids: Sequence[int], field: str, model: EngineModel) -> int:
    """Return how many tokens the context has left for the output: at least 1."""
    if not token_ids:
        raise invalid(field, "empty")
    left = model.context_tokens - len(token_ids)
    if left < 1:
        limit = model.context_tokens
        raise invalid(field, f"{len(token_ids)} tokens leave no room for output in a context of {limit}")
    return left


def check_sampling(parameters: pb.SamplingParameters) -> None:
    """Check all that does not depend on the prompt."""
    for field, value in parameters.ListFields():
        bounds = RANGES.get(field.name)
        if bounds is not None and value not in bounds:
            raise invalid(f"sampling.{field.name}", f"{value:g} is not {bounds}")
    if any(bias not in _LOGIT_BIAS for bias in parameters.logit_bias.values()):
        raise invalid("sampling.logit_bias", f"a value is not {_LOGIT_BIAS}")
    if len(parameters.stop_strings) > MAX_STOP_STRINGS:
        raise invalid("sampling.stop_strings", f"more than {MAX_STOP_STRINGS}")
    if not all(parameters.stop_strings):
        raise invalid("sampling.stop_strings", "one is empty")
    if parameters.HasField("max_tokens") and parameters.min_tokens > parameters.max_tokens:
        raise invalid("sampling.min_tokens", "more than max_tokens")
    if parameters.HasField("choice") and not all(parameters.choice.texts or [""]):
        raise invalid("sampling.choice", "no texts, or an empty one")


def sampling_of(parameters: pb.SamplingParameters, left_tokens: int) -> Sampling:
    """Return what the engine is asked for, after `check_sampling`; `left_tokens` of the context bound the output."""
    given = {field.name: value for field, value in parameters.ListFields()}
    return Sampling(
        max_tokens=min(given.get("max_tokens", left_tokens), left_tokens),
        min_tokens=min(parameters.min_tokens, left_tokens),
        temperature=given.get("temperature", 1.0),
        top_p=given.get("top_p", 1.0),
        top_k=parameters.top_k,
        min_p=parameters.min_p,
        presence_penalty=parameters.presence_penalty,
        frequency_penalty=parameters.frequency_penalty,
        repetition_penalty=given.get("repetition_penalty", 1.0),
        stop_token_ids=tuple(parameters.stop_token_ids),
        seed=given.get("seed"),
        n=given.get("n", 1),
        logprobs=given.get("logprobs"),
        logit_bias=dict(parameters.logit_bias),
        ignore_eos=parameters.ignore_eos,
        structured_output=structured_output_of(parameters),
    )


def structured_output_of(parameters: pb.SamplingParameters) -> tuple[str, str | tuple[str, ...]] | None:
    match parameters.WhichOneof("structured_output"):
        case None:
            return None
        case "choice":
            return "choice", tuple(parameters.choice.texts)
        case form:
            return form, str(getattr(parameters, form))


def text_rules_of(parameters: pb.SamplingParameters) -> TextRules:
    keeps_special_tokens = parameters.HasField("skip_special_tokens") and not parameters.skip_special_tokens
    return TextRules(tuple(parameters.stop_strings), parameters.include_stop_string, not keeps_special_tokens)


def start_of(request: AnyRequest, prompt_tokens: int) -> Start:
    """Return where the stream begins."""
    if not request.HasField("continuation"):
        return Start(prompt_tokens)
    continuation = request.continuation
    choices: Iterable[pb.SentChoice | pb.SentChatChoice] = continuation.choices
    sent = {choice.index: list(choice.token_ids) for choice in choices}
    if len(sent) < len(continuation.choices):
        raise invalid("continuation.choices", "an index stands there twice")
    if any(index >= (request.sampling.n or 1) for index in sent):
        raise invalid("continuation.choices", "an index is not below sampling.n")
    if sent and not continuation.next_sequence:
        raise invalid("continuation.next_sequence", "0, although something was sent")
    return Start(
        prompt_tokens,
        next_sequence=continuation.next_sequence,
        usage=continuation.usage if continuation.HasField("usage") else None,
        sent=sent,
        finished=frozenset(choice.index for choice in choices if choice.finish_reason),
    )


def check_conversation(
    messages: Sequence[pb.ChatMessage], tools: Sequence[pb.Tool], template_arguments_json: str
) -> None:
    """Check what Chat and Tokenize give to the chat template."""
    if not messages:
        raise invalid("messages", "none")
    for position, message in enumerate(messages):
        if message.role == pb.ROLE_UNSPECIFIED:
            raise invalid(f"messages[{position}].role", "missing")
        if not all(part.WhichOneof("part") for part in message.parts):
            raise invalid(f"messages[{position}].parts", "one is neither text nor image")
    for position, tool in enumerate(tools):
        if not _TOOL_NAME.fullmatch(tool.name):
            raise invalid(f"tools[{position}].name", "not 1 to 64 letters, digits, '_' and '-'")
    if template_arguments_json and not _is_json_object(template_arguments_json):
        raise invalid("template_arguments_json", "not a JSON object")


_TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except msgspec.DecodeError:
        return False


def check_tool_choice(request: pb.ChatRequest) -> None:
    choice = request.tool_choice
    if choice.tool_name and choice.tool_name not in {tool.name for tool in request.tools}:
        raise invalid("tool_choice.tool_name", f"no tool is called {choice.tool_name!r}")
    if choice.mode == pb.ToolChoice.MODE_REQUIRED and not request.tools:
        raise invalid("tool_choice.mode", "a tool is required and there is none")


def check_tokenize(request: pb.TokenizeRequest) -> None:
    if bool(request.text) == bool(request.messages):
        raise invalid("text", "exactly one of text and messages is needed")
    if request.messages:
        check_conversation(request.messages, request.tools, request.template_arguments_json)
    elif request.tools or request.template_arguments_json:
        raise invalid("tools" if request.tools else "template_arguments_json", "goes with messages only")


def check_embed(request: pb.EmbedRequest, model: EngineModel) -> None:
    check_model(request.model, model)
    if not 1 <= len(request.inputs) <= MAX_EMBED_INPUTS:
        raise invalid("inputs", f"{len(request.inputs)}, not 1 to {MAX_EMBED_INPUTS}")
    if not model.can_embed:
        raise invalid("model", f"{model.name!r} makes no embeddings")
    if request.HasField("dimensions") and not request.dimensions:
        raise invalid("dimensions", "0")


def check_input(token_ids: Sequence[int], position: int, model: EngineModel) -> None:
    if not 1 <= len(token_ids) <= model.context_tokens:
        raise invalid(f"inputs[{position}]", f"{len(token_ids)} tokens, not 1 to {model.context_tokens}")
