"""Settings: read once, checked once, frozen; workers get theirs from control.

Names, defaults and ranges stand here and nowhere else. `gateway.settings_file` reads them.
"""

import re
from typing import Annotated, Any

from msgspec import Meta, Struct

KIB = 1024
MIB = 1024 * KIB

Seconds = Annotated[float, Meta(ge=0, le=86_400)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=86_400)]
PositiveInt = Annotated[int, Meta(ge=1)]


class _Settings(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class ReplicaSettings(_Settings, frozen=True):
    address: str
    """HOST:PORT."""
    weight: Annotated[float, Meta(gt=0, le=1_000)] = 1.0
    """Its share of requests, where the policy knows weights."""
    id: str = ""
    """Stays when the address changes. Empty: the address."""

    def __post_init__(self) -> None:
        _check("address", split_address, self.address)


class LimitSettings(_Settings, frozen=True):
    """What one agent, or all together, may take."""

    request_bytes: Annotated[int, Meta(ge=1, le=1024 * MIB)] = 64 * MIB
    """One request message, as sent and as inflated."""
    buffered_bytes: PositiveInt = 512 * MIB
    """All that is held of requests before their replica is chosen. At the limit agents get no credit, they wait."""
    header_bytes: PositiveInt = 8 * KIB
    """Above it (RFC 9113 6.5.2: names + values + 32 each) a request is refused."""
    header_bytes_hard: PositiveInt = 64 * KIB
    """Above it the agent's connection ends, because decoding on would cost too much."""
    held_tail_bytes: PositiveInt = 64 * KIB
    """Of a response message that has begun and not ended; a longer one passes in pieces."""
    streams_per_connection: Annotated[int, Meta(ge=1, le=2**31 - 1)] = 1_000
    """Announced to agents as SETTINGS_MAX_CONCURRENT_STREAMS."""
    handshake_timeout_s: PositiveSeconds = 10.0
    """From the accepted connection to the agent's preface and SETTINGS."""

    def __post_init__(self) -> None:
        if self.header_bytes_hard < self.header_bytes:
            raise ValueError("header_bytes_hard: below header_bytes")
        if self.buffered_bytes < self.request_bytes:
            raise ValueError("buffered_bytes: below request_bytes, so that the largest request could never pass")


class ConnectSettings(_Settings, frozen=True):
    """How a connection to a replica is made and kept, by workers and by the prober."""

    timeout_s: PositiveSeconds = 2.0
    backoff_base_s: PositiveSeconds = 0.1
    """After the first failure; 1.6 times as long after each further one (gRPC's connection backoff)."""
    backoff_max_s: PositiveSeconds = 5.0
    backoff_jitter: Annotated[float, Meta(ge=0, lt=1)] = 0.2
    """Each wait is this fraction longer or shorter, at random."""
    keepalive_interval_s: PositiveSeconds = 10.0
    """Between PINGs. A replica has to permit them twice as often; those of this project do."""
    keepalive_timeout_s: PositiveSeconds = 3.0
    """For the answer; then the connection is lost."""

    def __post_init__(self) -> None:
        if self.backoff_max_s < self.backoff_base_s:
            raise ValueError("backoff_max_s: below backoff_base_s")


class ProbeSettings(_Settings, frozen=True):
    health_service: str = "inference.v1.Inference"
    """Whose health decides; empty: the whole server's, which is what replicas of opaque services may only know."""
    timeout_s: PositiveSeconds = 5.0
    """For the first health status, the list of models, the first load report."""
    load_report_interval_s: PositiveSeconds = 1.0
    """Asked of the replica: the longest time without a report."""


class Settings(_Settings, frozen=True):
    listen: str = "127.0.0.1:8080"
    """HOST:PORT for agents; port 0: any free one."""
    replicas: tuple[ReplicaSettings, ...] = ()
    policy: str = "least_connection"
    opaque_services: tuple[str, ...] = ()
    """Full names of gRPC services that pass although the gateway knows nothing of them."""
    admin_listen: str = ""
    """A Unix socket's path, or HOST:PORT on loopback. Empty: `admin-PORT.sock` in a directory of the user's own."""
    metrics_listen: str = "127.0.0.1:9464"
    """HOST:PORT of /metrics and /health, 9464 as OpenTelemetry's exporters have it. `none`: no HTTP."""
    workers: int = 1
    worker_start_timeout_s: PositiveSeconds = 10.0
    log_level: str = "info"
    grace_s: Seconds = 30.0
    """How long running streams may take to finish, once the gateway is asked to stop."""
    drain_pause_s: Seconds = 0.5
    """From NOT_SERVING to the closed listener, so that agents' balancers have seen it."""
    parking_s: Seconds = 0.0
    """How long a request waits for a replica to become ready, before it is refused."""
    limits: LimitSettings = LimitSettings()
    connect: ConnectSettings = ConnectSettings()
    probe: ProbeSettings = ProbeSettings()

    def __post_init__(self) -> None:
        _check("listen", split_address, self.listen)
        if self.metrics_listen != "none":
            _check("metrics_listen", split_address, self.metrics_listen)
        if self.workers != 1:
            raise ValueError("workers: only 1 is possible so far")
        if self.log_level not in LOG_LEVELS:
            raise ValueError(f"log_level: {self.log_level!r} is not one of {', '.join(LOG_LEVELS)}")
        for index, name in enumerate(self.opaque_services):
            if not _SERVICE_NAME.fullmatch(name):
                raise ValueError(
                    f"opaque_services[{index}]: {name!r} is not a service's full name, like package.Service"
                )
        self._check_replicas()

    def _check_replicas(self) -> None:
        seen = set[str]()
        for index, replica in enumerate(self.replicas):
            name = replica.id or replica.address
            if name in seen:
                raise ValueError(f"replicas[{index}]: {name} stands there twice")
            seen.add(name)


LOG_LEVELS = ("debug", "info", "warning", "error")
_SERVICE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT` or `[IPV6]:PORT`. Raises ValueError."""
    host, colon, port = address.rpartition(":")
    is_bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_bracketed else host
    if not colon or not host or (":" in host and not is_bracketed):
        raise ValueError(f"{address!r} is not HOST:PORT")
    if not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{address!r} has no port between 0 and 65535")
    return host, int(port)


def join_address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _check(name: str, parse: Any, value: str) -> None:
    try:
        parse(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
