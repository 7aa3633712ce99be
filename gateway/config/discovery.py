"""Where replicas are found."""

from typing import Annotated

from msgspec import Meta

from gateway.config.base import Port, PositiveSeconds, Strict, Weight, check, split_address


class ReplicaSettings(Strict, frozen=True, kw_only=True):
    """One replica, as the settings name it or a source finds it."""

    address: str
    """HOST:PORT."""
    weight: Weight = 1.0
    """Its share of requests, where the policy knows weights."""
    id: str = ""
    """Stays when the address changes. Empty: the address."""
    zone: str = ""
    """Where it stands; compared with `zone.name`."""
    labels: dict[str, str] = {}
    """What routes select by."""
    models: tuple[str, ...] = ()
    """What it serves, where it cannot be asked; one that answers ListModels speaks for itself."""

    def __post_init__(self) -> None:
        check("address", split_address, self.address)


class SourceSettings(Strict, frozen=True, kw_only=True):
    """What a source says of all its replicas, where it says nothing of one."""

    weight: Weight = 1.0
    """Of each replica."""
    zone: str = ""
    """Of each replica."""
    labels: dict[str, str] = {}
    """Of each replica; its own come on top."""
    models: tuple[str, ...] = ()
    """Of each replica that cannot be asked."""


class FileSource(SourceSettings, frozen=True, kw_only=True, tag_field="kind", tag="file"):
    """A file that is watched: a YAML or JSON list with the fields of `replicas`."""

    path: str
    """Of the file. It may be missing for a while, or be replaced by another."""
    interval_s: PositiveSeconds = 1.0
    """Between two looks at it."""

    @property
    def label(self) -> str:
        return f"file:{self.path}"


class DnsSource(SourceSettings, frozen=True, kw_only=True, tag_field="kind", tag="dns"):
    """The addresses (A and AAAA) of a name, such as that of a headless service, resolved again and again."""

    name: str
    """Host name, as this host resolves it."""
    port: Port
    """Where replicas listen."""
    interval_s: PositiveSeconds = 5.0
    """Between two answers."""
    timeout_s: PositiveSeconds = 5.0
    """For one answer."""

    @property
    def label(self) -> str:
        return f"dns:{self.name}:{self.port}"


class SrvSource(SourceSettings, frozen=True, kw_only=True, tag_field="kind", tag="srv"):
    """The SRV records of a name: each with a port and a weight. Needs the extra `srv`."""

    name: str
    """Full name, `_grpc._tcp.replicas.example.org`."""
    interval_s: PositiveSeconds = 5.0
    """Between two answers; the records' time to live counts where it is shorter."""
    timeout_s: PositiveSeconds = 5.0
    """For one answer."""
    nameserver: str = ""
    """HOST:PORT to ask, an IP address. Empty: those of the host."""

    @property
    def label(self) -> str:
        return f"srv:{self.name}"

    def __post_init__(self) -> None:
        if self.nameserver:
            check("nameserver", split_address, self.nameserver)


class KubernetesSource(SourceSettings, frozen=True, kw_only=True, tag_field="kind", tag="kubernetes"):
    """The EndpointSlices of a service, watched. Needs the extra `kubernetes`."""

    service: str
    """Name of the Service; a headless one will do."""
    namespace: str = ""
    """Empty: that of the gateway's own pod, or of the kubeconfig's context."""
    port: str = ""
    """Name or number among the slices' ports. Empty: the only one."""
    kubeconfig: str = ""
    """Path. Empty: the pod's own service account, or else ~/.kube/config."""
    context: str = ""
    """Of the kubeconfig. Empty: its current one."""
    watch_s: Annotated[float, Meta(ge=5, le=3_600)] = 240.0
    """A watch ends after this time, and everything is listed again."""

    @property
    def label(self) -> str:
        return f"kubernetes:{self.context or '-'}:{self.namespace or '-'}:{self.service}:{self.port}".rstrip(":")


Source = FileSource | DnsSource | SrvSource | KubernetesSource
