"""What EndpointSlices (discovery.k8s.io/v1) say of replicas. Pure."""

from collections.abc import Iterable, Iterator

from msgspec import Struct, field

from gateway.config import KubernetesSource, ReplicaSettings, join_address
from gateway.control.discovery.sources import SourceFailed

_OURS = "inference-gateway/"
"""Labels and annotations of a slice, or of the Service, whose labels its slices have: `weight`, `zone`, `model`."""
_RESERVED = ("kubernetes.io/", "endpointslice.kubernetes.io/", "service.kubernetes.io/", _OURS)
_WEIGHT_MAX = 1_000.0


class _Object(Struct, rename="camel"):
    """Of the API: what we read of it, where null means absent."""


class Metadata(_Object):
    name: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class Conditions(_Object):
    ready: bool | None = None


class Target(_Object):
    name: str = ""


class Endpoint(_Object):
    addresses: list[str]
    conditions: Conditions | None = None
    target_ref: Target | None = None
    zone: str | None = None

    @property
    def is_ready(self) -> bool:
        """No condition at all means ready."""
        return self.conditions is None or self.conditions.ready is not False


class EndpointPort(_Object):
    name: str | None = None
    port: int | None = None


class Slice(_Object):
    metadata: Metadata
    address_type: str = "IPv4"
    endpoints: list[Endpoint] | None = None
    ports: list[EndpointPort] | None = None


class SliceList(_Object):
    metadata: Metadata = field(default_factory=Metadata)
    items: list[Slice] | None = None


def replicas_of(slices: Iterable[Slice], settings: KubernetesSource) -> list[ReplicaSettings]:
    """Return one replica for each ready endpoint, by id. Raises SourceFailed where its port is not clear.

    An endpoint that terminates is not ready: its replica leaves the fleet, and what runs on it runs to its end."""
    found = dict[str, ReplicaSettings]()
    # A pod of a dual-stack service stands in a slice for each family: IPv4 before IPv6.
    for each in sorted(slices, key=lambda each: (each.address_type, each.metadata.name)):
        for replica in _replicas(each, settings):
            found.setdefault(replica.id, replica)
    return [found[name] for name in sorted(found)]


def _replicas(each: Slice, settings: KubernetesSource) -> Iterator[ReplicaSettings]:
    ready = [endpoint for endpoint in each.endpoints or () if endpoint.is_ready]
    if not ready:
        return
    port = _port(each, settings.port)
    labels = each.metadata.labels or {}
    ours = labels | (each.metadata.annotations or {})
    shown = {name: value for name, value in labels.items() if not name.startswith(_RESERVED)}
    models = ours.get(f"{_OURS}model")
    for endpoint in ready:
        address = join_address(endpoint.addresses[0], port)
        yield ReplicaSettings(
            id=endpoint.target_ref.name if endpoint.target_ref else address,
            address=address,
            weight=_weight(ours.get(f"{_OURS}weight"), settings.weight),
            zone=ours.get(f"{_OURS}zone") or endpoint.zone or settings.zone,
            labels=settings.labels | shown,
            models=(models,) if models else settings.models,
        )


def _port(each: Slice, wanted: str) -> int:
    ports = [(port.name or "", port.port) for port in each.ports or () if port.port]
    numbers = [number for name, number in ports if not wanted or wanted in (name, str(number))]
    if len(numbers) != 1:
        names = ", ".join(name or str(number) for name, number in ports)
        raise SourceFailed(f"{each.metadata.name}: the port {wanted!r} is not exactly one of: {names}")
    return numbers[0]


def _weight(text: str | None, usual: float) -> float:
    """What is no weight is not worth losing a replica for."""
    try:
        weight = float(text or usual)
    except ValueError:
        return usual
    return weight if 0 < weight <= _WEIGHT_MAX else usual
