"""Several models behind one address."""

from typing import Any

from gateway.config.base import Strict


class ShadowSettings(Strict, frozen=True, kw_only=True):
    """A policy that is asked as well and only counted."""

    policy: str
    """As a policy that decides is named."""
    policy_options: dict[str, Any] = {}
    """Of this policy."""
    name: str = ""
    """In metrics. Empty: the policy's own; the same policy twice needs two."""


class RouteSettings(Strict, frozen=True, kw_only=True):
    """Which requests, to which replicas, by which policy. The first route that matches a request is its route."""

    name: str
    """In metrics, logs and `inference-gateway policy`."""
    models: tuple[str, ...] = ()
    """Names that agents ask for, aliases too; `*` stands for any characters. Empty: every model."""
    headers: dict[str, str] = {}
    """Metadata that the request must have, all of it, by lower-case name; `*` is any value."""
    labels: dict[str, str] = {}
    """Of the replicas that may serve it, all of them. Empty: every replica."""
    policy: str = ""
    """Empty: the gateway's own."""
    policy_options: dict[str, Any] = {}
    """Of the route's own policy."""
    shadow: tuple[str | ShadowSettings, ...] = ()
    """Policies that are asked as well and only counted. Empty: the gateway's."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name: is empty")
        if self.policy_options and not self.policy:
            raise ValueError("policy_options: are of no policy, because the route has none of its own")
        for header in self.headers:
            if header != header.lower() or header.startswith(":") or header.endswith("-bin"):
                raise ValueError(f"headers: {header!r} is not a lower-case name of text metadata")


class AliasSettings(Strict, frozen=True, kw_only=True):
    """Another name of a model: replicas are asked for the model by its own name."""

    model: str
    """As its replicas name it."""
    lora: str = ""
    """An adapter of the model, as its replicas name it."""


class ZoneSettings(Strict, frozen=True, kw_only=True):
    """Prefer replicas near by, while they have room."""

    name: str = ""
    """The gateway's own zone. Empty: zones do not matter."""
    spill_requests: float = 4.0
    """Requests in flight for each unit of weight that its own zone always takes before others get any."""
    spill_ratio: float = 1.5
    """Above `spill_requests`, its own zone may be this many times as busy as the others."""

    def __post_init__(self) -> None:
        if self.spill_requests < 0 or self.spill_ratio < 1:
            raise ValueError("spill_ratio: below 1, or spill_requests below 0")
