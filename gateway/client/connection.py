"""How to reach one server: what both clients, sync and async, need to know."""

import random
import time
from typing import TypeVar, cast

import grpc
import grpc.aio

from gateway.client.attempts import Attempts
from gateway.client.options import TLS, CallOptions, ChatOptions, ClientOptions, ModelOptions
from gateway.client.requests import check_names

_MAX_MESSAGE_BYTES = 64 << 20
_KEEPALIVE_S = 30.0
_PING_TIMEOUT_S = 20.0
"""A frozen server is given up after keepalive_s plus this. gRPC's own default is 60 s, whatever keepalive says."""

OptionsT = TypeVar("OptionsT", bound=CallOptions)


class Endpoint:
    """One server, how to talk to it, and the defaults of all calls."""

    def __init__(self, address: str, options: ClientOptions) -> None:
        check_names(options, ClientOptions.__optional_keys__)
        self.address = address
        self._defaults = _defaults(options)
        self._rng = options.get("rng") or random.Random()
        self._clock = options.get("clock", time.monotonic)
        self._tls = options.get("tls", False)
        self._arguments = _channel_arguments(options)
        self._connections = options.get("connections", 1)
        api_key = options.get("api_key", "")
        self._metadata = (("authorization", f"Bearer {api_key}"),) if api_key else ()

    def attempts(self, options: CallOptions) -> Attempts:
        return Attempts(options, self._clock, self._rng)

    def with_defaults(self, options: OptionsT) -> OptionsT:
        """Return the options of one call over the client's own."""
        return cast(OptionsT, {**self._defaults, **options})

    def with_session(self, options: ChatOptions) -> ChatOptions:
        """Return the options of a conversation's turns: they share a session id."""
        return {"session_id": f"{self._rng.getrandbits(128):032x}", **options}

    def metadata(self, options: CallOptions) -> tuple[tuple[str, str], ...]:
        return (*self._metadata, *options.get("metadata", {}).items())

    def channels(self) -> list[grpc.Channel]:
        """Return new channels, one for each connection. They connect at their first call."""
        credentials = _credentials(self._tls)
        if credentials is None:
            return [grpc.insecure_channel(self.address, self._arguments) for _ in range(self._connections)]
        return [grpc.secure_channel(self.address, credentials, self._arguments) for _ in range(self._connections)]

    def aio_channels(self) -> list[grpc.aio.Channel]:
        """As `channels`, for the running event loop."""
        credentials = _credentials(self._tls)
        if credentials is None:
            return [grpc.aio.insecure_channel(self.address, self._arguments) for _ in range(self._connections)]
        return [grpc.aio.secure_channel(self.address, credentials, self._arguments) for _ in range(self._connections)]


def _credentials(tls: bool | TLS) -> grpc.ChannelCredentials | None:
    if not tls:
        return None
    tls = TLS() if tls is True else tls
    return grpc.ssl_channel_credentials(tls.root_certificates, tls.private_key, tls.certificate_chain)


def _defaults(options: ClientOptions) -> ModelOptions:
    known = ModelOptions.__optional_keys__
    return cast(ModelOptions, {name: value for name, value in options.items() if name in known})


def _channel_arguments(options: ClientOptions) -> list[tuple[str, str | int]]:
    # Pings only while calls run, but then also through a long silent prefill (max_pings_without_data).
    # ping_timeout: without it a frozen server is noticed after 60 s; keepalive_timeout covers only a silent kernel.
    # local_subchannel_pool: without it channels to one address share one connection.
    keepalive_ms = round(options.get("keepalive_s", _KEEPALIVE_S) * 1000)
    ping_timeout_ms = round(_PING_TIMEOUT_S * 1000)
    arguments: list[tuple[str, str | int]] = [
        ("grpc.keepalive_time_ms", keepalive_ms),
        ("grpc.keepalive_timeout_ms", ping_timeout_ms),
        ("grpc.http2.ping_timeout_ms", ping_timeout_ms),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_receive_message_length", options.get("max_message_bytes", _MAX_MESSAGE_BYTES)),
        ("grpc.max_send_message_length", -1),
    ]
    tls = options.get("tls", False)
    if isinstance(tls, TLS) and tls.server_name:
        arguments.append(("grpc.ssl_target_name_override", tls.server_name))
    return arguments
