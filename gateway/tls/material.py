"""Certificates and keys as they lie in memory: control reads, checks and sends them, workers make contexts of them.

So all workers have the same, one that is started anew gets what is in use, and a broken file breaks nothing. All of it
is PEM; empty means none.
"""

from msgspec import Struct


class Identity(Struct, frozen=True):
    """Who we say that we are."""

    chain: str
    """Our certificate first, then those that lead to an authority."""
    key: str

    def __repr__(self) -> str:
        """Without the key: it must not come into logs."""
        return f"<Identity {len(self.chain)} bytes>"


class AgentTls(Struct, frozen=True):
    """How agents are met."""

    identity: Identity
    client_ca: str = ""
    """Authorities of agents' certificates. Empty: agents are not asked for one."""
    needs_client: bool = True
    """An agent without a certificate is refused."""


class ReplicaTls(Struct, frozen=True):
    """How replicas are met."""

    ca: str
    """Authorities of replicas' certificates."""
    identity: Identity | None = None
    server_name: str = ""
    """The name that each replica's certificate bears; empty: the host of its address."""


class Material(Struct, frozen=True):
    """None: plain text."""

    agents: AgentTls | None = None
    replicas: ReplicaTls | None = None
