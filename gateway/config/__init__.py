"""Settings: read once, checked once, frozen; workers get theirs from control.

Names, defaults and ranges stand here and nowhere else. `gateway.settings_file` reads them.
"""

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta

from gateway.config.base import PositiveInt, PositiveSeconds, Seconds, Strict, check, join_address, split_address
from gateway.config.connections import AgentConnectionSettings
from gateway.config.discovery import (
    DnsSource,
    FileSource,
    KubernetesSource,
    ReplicaSettings,
    Source,
    SourceSettings,
    SrvSource,
)
from gateway.config.health import HealthSettings
from gateway.config.limits import CONNECTIONS_MAX, LimitSettings, RateSettings
from gateway.config.routes import AliasSettings, RouteSettings, ShadowSettings, ZoneSettings
from gateway.config.tls import AgentTlsSettings, ReplicaTlsSettings, TlsSettings

__all__ = [
    "CONNECTIONS_MAX",
    "LIVE",
    "LOG_LEVELS",
    "AgentConnectionSettings",
    "AgentTlsSettings",
    "AliasSettings",
    "ConnectSettings",
    "DnsSource",
    "FileSource",
    "HealthSettings",
    "KubernetesSource",
    "LimitSettings",
    "ProbeSettings",
    "RateSettings",
    "ReplicaSettings",
    "ReplicaTlsSettings",
    "RouteSettings",
    "Settings",
    "ShadowSettings",
    "Source",
    "SourceSettings",
    "SrvSource",
    "TlsSettings",
    "ZoneSettings",
    "join_address",
    "split_address",
]

LIVE = frozenset(
    (
        *(
            "policy",
            "policy_options",
            "routes",
            "aliases",
            "default_model",
            "zone",
            "replicas",
            "discovery",
            "limits",
            "parking_s",
            "explain_to",
            "shadow",
            "agent_connections",
            "health",
        ),
        *("opaque_services", "grace_s", "drain_pause_s", "log_level"),
    )
)
"""Settings that may change while the gateway runs."""


class ConnectSettings(Strict, frozen=True):
    """How a connection to a replica is made and kept, by workers and by the prober."""

    timeout_s: PositiveSeconds = 2.0
    """For a connection to come up."""
    backoff_base_s: PositiveSeconds = 0.1
    """After the first failure; 1.6 times as long after each further one (gRPC's connection backoff)."""
    backoff_max_s: PositiveSeconds = 5.0
    """The longest wait."""
    backoff_jitter: Annotated[float, Meta(ge=0, lt=1)] = 0.2
    """Each wait is this fraction longer or shorter, at random."""
    keepalive_interval_s: PositiveSeconds = 10.0
    """Between PINGs. A replica has to permit them twice as often; those of this project do."""
    keepalive_timeout_s: PositiveSeconds = 3.0
    """For the answer; then the connection is lost."""

    def __post_init__(self) -> None:
        if self.backoff_max_s < self.backoff_base_s:
            raise ValueError("backoff_max_s: below backoff_base_s")


class ProbeSettings(Strict, frozen=True):
    """How replicas are asked for their health, models and load."""

    health_service: str = "inference.v1.Inference"
    """Whose health decides; empty: the whole server's, which is what replicas of opaque services may only know."""
    timeout_s: PositiveSeconds = 5.0
    """For the first health status, the list of models, the first load report."""
    keepalive_interval_s: PositiveSeconds = 2.0
    """Between PINGs of the prober, which are to find a frozen replica soon: its connection carries no request."""
    keepalive_timeout_s: PositiveSeconds = 2.0
    """For the answer; then the replica is suspect, and workers ask as well."""
    load_report_interval_s: PositiveSeconds = 1.0
    """Asked of the replica: the longest time without a report."""
    load_report_floor_s: PositiveSeconds = 0.1
    """Asked of it as well: the shortest time between two."""
    load_reports_per_s: PositiveInt = 1_000
    """Of all replicas together: in a larger fleet each is asked to report more seldom than by the floor."""


class Settings(Strict, frozen=True):
    """All settings of a gateway."""

    listen: str = "127.0.0.1:8080"
    """HOST:PORT for agents; port 0: any free one."""
    replicas: tuple[ReplicaSettings, ...] = ()
    """Those that are always there."""
    discovery: tuple[Source, ...] = ()
    """Where more replicas are found."""
    policy: str = "least_connection"
    """How a replica is chosen; the README lists them. A package's own by its name, one in a file as FILE.py:CLASS."""
    policy_options: dict[str, Any] = {}
    """Of the policy, by name; each has a default."""
    prefix_index_blocks: Annotated[int, Meta(ge=1_000, le=100_000_000)] = 500_000
    """How many blocks of 64 prompt tokens are remembered over all replicas, in each worker: some 250 bytes each."""
    routes: tuple[RouteSettings, ...] = ()
    """Empty: one for all requests. Else a request that none matches is refused as NOT_FOUND."""
    aliases: dict[str, AliasSettings] = {}
    """Other names that agents may ask for, by name."""
    default_model: str = ""
    """What a request that names no model asks for. Empty: the one model that is served."""
    zone: ZoneSettings = ZoneSettings()
    """Where the gateway stands."""
    opaque_services: tuple[str, ...] = ()
    """Full names of gRPC services that pass although the gateway knows nothing of them."""
    admin_listen: str = ""
    """A Unix socket's path, or HOST:PORT on loopback. Empty: `admin-PORT.sock` in a directory of the user's own."""
    metrics_listen: str = "127.0.0.1:9464"
    """HOST:PORT of /metrics and /health, 9464 as OpenTelemetry's exporters have it. `none`: no HTTP."""
    workers: Annotated[int, Meta(ge=1, le=256)] | Literal["auto"] = 1
    """Processes that relay. `auto`: as many as there are usable cores."""
    worker_silence_s: PositiveSeconds = 5.0
    """Without a sign of life from a worker, which gives one twice a second; then it is replaced. What it waits for a
    processor does not count: to replace a worker that a busy machine starves would win nothing."""
    worker_start_timeout_s: PositiveSeconds = 60.0
    """From its start until it takes connections; on a machine that others starve that takes its time."""
    log_level: str = "info"
    """debug, info, warning or error."""
    grace_s: Seconds = 30.0
    """How long running streams may take to finish, once the gateway is asked to stop."""
    drain_pause_s: Seconds = 0.5
    """From NOT_SERVING to the closed listener, so that agents' balancers have seen it."""
    parking_s: Seconds = 0.0
    """How long a request waits for a replica to become ready, before it is refused."""
    shadow: tuple[str | ShadowSettings, ...] = ()
    """Policies that are asked as well and only counted; a name alone has default options."""
    explain_to: tuple[str, ...] = ()
    """SPIFFE ids of agents that are told why a replica was picked, if they ask by `x-gateway-explain: 1`; `*`: all."""
    limits: LimitSettings = LimitSettings()
    """What agents may take."""
    agent_connections: AgentConnectionSettings = AgentConnectionSettings()
    """How long agents' connections last."""
    connect: ConnectSettings = ConnectSettings()
    """Connections to replicas."""
    probe: ProbeSettings = ProbeSettings()
    """Questions to replicas."""
    health: HealthSettings = HealthSettings()
    """When a replica gets no requests, or fewer."""
    tls: TlsSettings = TlsSettings()
    """Certificates and keys."""

    def __post_init__(self) -> None:
        check("listen", split_address, self.listen)
        if self.metrics_listen != "none":
            check("metrics_listen", split_address, self.metrics_listen)
        if self.log_level not in LOG_LEVELS:
            raise ValueError(f"log_level: {self.log_level!r} is not one of {', '.join(LOG_LEVELS)}")
        for index, name in enumerate(self.opaque_services):
            if not _SERVICE_NAME.fullmatch(name):
                raise ValueError(
                    f"opaque_services[{index}]: {name!r} is not a service's full name, like package.Service"
                )
        self._check_names()
        self._check_sources()

    def _check_names(self) -> None:
        _check_unique("routes", [route.name for route in self.routes])
        for name, alias in self.aliases.items():
            if alias.model in self.aliases:
                raise ValueError(f"aliases: {name} stands for {alias.model}, which is an alias itself")

    def _check_sources(self) -> None:
        _check_unique("replicas", [replica.id or replica.address for replica in self.replicas])
        _check_unique("discovery", [source.label for source in self.discovery])


LOG_LEVELS = ("debug", "info", "warning", "error")
_SERVICE_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def _check_unique(setting: str, names: Sequence[str]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f"{setting}[{index}]: {name} stands there twice")
