"""Where replicas are found."""

from typing import Annotated, Literal

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


class DnsSource(SourceSettings, frozen=True, kw_only=True, tag_field="kind", tag="dns"):
    """A name that is resolved again and again, such as that of a headless service."""

    name: str
    """Host name; with `record: srv` the full name, `_grpc._tcp.replicas.example.org`."""
    port: Port | None = None
    """Where replicas listen. SRV records bring their own."""
    record: Literal["address", "srv"] = "address"
    """`address`: A and AAAA, as the host resolves them. `srv`: asks DNS itself, needs the extra `dns`."""
    interval_s: PositiveSeconds = 5.0
    """Between two answers. Of SRV records a shorter time to live counts."""
    timeout_s: PositiveSeconds = 5.0
    """For one answer."""
    nameserver: str = ""
    """HOST:PORT to ask for SRV records. Empty: those of the host."""

    def __post_init__(self) -> None:
        if (self.port is None) != (self.record == "srv"):
            raise ValueError("port: SRV records bring their own" if self.port else "port: is needed with addresses")
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


Source = FileSource | DnsSource | KubernetesSource
