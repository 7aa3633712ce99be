"""Settings of agents' connections."""

from typing import Annotated

from msgspec import Meta

from gateway.config.base import PositiveSeconds, Seconds, Strict


class AgentConnectionSettings(Strict, frozen=True):
    """How long they last. An old one gets GOAWAY, and what runs on it goes on. The defaults are gRPC's."""

    max_age_s: PositiveSeconds | None = None
    """After this agents have to connect again, and so spread anew over workers and gateways; null: never."""
    max_age_jitter: Annotated[float, Meta(ge=0, lt=1)] = 0.1
    """Each connection's age is this fraction longer or shorter, at random."""
    max_age_grace_s: Seconds | None = None
    """How long streams may run on after GOAWAY; null: to their end."""
