"""The options of each method. All may be left out; those of the model then mean the engine's own defaults."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from gateway.client.messages import AnyTool


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """PEM bytes. With a key and a chain the client shows a certificate of its own (mTLS)."""

    root_certificates: bytes | None = None
    """Whom to trust. None: the public authorities."""
    private_key: bytes | None = None
    certificate_chain: bytes | None = None
    server_name: str = ""
    """The name that the server's certificate must bear, where it is not the address."""


class CallOptions(TypedDict, total=False):
    """Of every call."""

    timeout_s: float | None
    """For the whole call, retries included; goes to the server as its deadline. None: no limit."""
    metadata: Mapping[str, str]
    """More gRPC metadata."""
    retries: int
    """How often a call that failed before anything was received is begun again, where the error says that this makes
    sense, with the wait that the server asks for. 0 by default. `collect()` begins again at any time: it discards what
    was received."""


class ModelOptions(CallOptions, total=False):
    """Of every call for a model."""

    model: str
    """Empty: the only model served."""
    request_id: str
    """Names the request in logs and traces. Empty: the server makes one."""


class RoutedOptions(ModelOptions, total=False):
    """Of every call for a model's work."""

    session_id: str
    """Requests of one session tend to share a prefix; routing may keep them together. At most 256 bytes."""
    priority: int
    """Lower is sooner; 0 is normal, negative is urgent."""


class EmbedOptions(RoutedOptions, total=False):
    """Of `embed`."""

    dimensions: int
    """Length of the vectors, where the model can shorten them."""


class SamplingOptions(TypedDict, total=False):
    """How tokens are chosen."""

    temperature: float
    """0 is greedy; at most 2. Default 1."""
    top_p: float
    """Above 0, at most 1 (off)."""
    top_k: int
    """0 is off."""
    min_p: float
    """Between 0 (off) and 1."""
    presence_penalty: float
    """Between -2 and 2, over output tokens."""
    frequency_penalty: float
    """Between -2 and 2, over output tokens."""
    repetition_penalty: float
    """Above 0, over prompt and output tokens. 1 is off."""
    max_tokens: int
    """For each choice. Default: what the model's context has left."""
    min_tokens: int
    """Nothing but max_tokens ends a choice before this many tokens."""
    stop_strings: Sequence[str]
    """A choice ends where one of these appears in its text. At most 16."""
    stop_token_ids: Sequence[int]
    seed: int
    """Makes sampling repeatable on one replica."""
    n: int
    """Choices for one prompt, 1 to 128. Default 1."""
    logprobs: int
    """Alternatives to report with each token, 0 to 20; 0 reports the chosen token alone."""
    logit_bias: Mapping[int, float]
    """Added to the logit of a token id, -100 to 100."""
    ignore_eos: bool
    """The end-of-sequence token does not end a choice."""
    include_stop_string: bool
    """The stop string that ended a choice is part of its text."""
    skip_special_tokens: bool
    """Special tokens are left out of the text. Default true."""
    json_schema: str | Mapping[str, Any]
    """Constrains the output. At most one of json_schema, regex, grammar and choice."""
    regex: str
    grammar: str
    """Context-free, in EBNF."""
    choice: Sequence[str]
    """One of these texts, verbatim."""


class GenerateOptions(RoutedOptions, SamplingOptions, total=False):
    """Of `generate`."""

    cache_salt: str
    """Prefixes are shared only among requests with the same salt."""
    lora_name: str
    """An adapter of the model."""


class ChatOptions(GenerateOptions, total=False):
    """Of `chat`."""

    tools: Sequence[AnyTool]
    tool_choice: str
    """"auto", "none", "required", or the name of the tool that must be called."""
    template_arguments: Mapping[str, Any]
    """What the chat template gets as variables, for example {"enable_thinking": False}."""


class TokenizeOptions(ModelOptions, total=False):
    """Of `tokenize`. The two below make sense with messages only."""

    tools: Sequence[AnyTool]
    template_arguments: Mapping[str, Any]


class ClientOptions(ModelOptions, total=False):
    """Of a client. Those of `ModelOptions` are the defaults of all its calls."""

    tls: bool | TLS
    """True: TLS with the public authorities. Default: none, for loopback and private networks."""
    api_key: str
    """Sent as `authorization: Bearer KEY`; over a network use it with `tls`."""
    connections: int
    """Calls take turns on this many connections; each takes as many streams as the server allows. Default 1."""
    keepalive_s: float
    """A silent connection is probed this often while calls run on it. Default 30."""
    max_message_bytes: int
    """Larger responses fail. Default 64 MiB."""
    clock: Callable[[], float]
    """Monotonic seconds. For tests."""
    rng: random.Random
    """Spreads the waits before retries. For tests."""
