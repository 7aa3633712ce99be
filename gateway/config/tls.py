"""Certificates and keys. All files are PEM; what they hold may change at any time."""

from typing import Literal

from gateway.config.base import PositiveSeconds, Strict


def _check_pair(cert: str, key: str) -> None:
    if cert and not key:
        raise ValueError("key: missing, and the certificate is of no use without it")
    if key and not cert:
        raise ValueError("cert: missing, and the key is of no use without it")


class AgentTlsSettings(Strict, frozen=True):
    """TLS on the agents' port."""

    cert: str = ""
    """File: our certificate, then those that lead to an authority. Empty: plain text."""
    key: str = ""
    """File: the certificate's private key, without a passphrase."""
    client_ca: str = ""
    """File: the authorities of agents' certificates. Empty: agents are not asked for one."""
    client_cert: Literal["required", "optional"] = "required"
    """Whether an agent without a certificate is refused. One whose certificate cannot be trusted always is."""

    def __post_init__(self) -> None:
        _check_pair(self.cert, self.key)
        if self.client_ca and not self.cert:
            raise ValueError("client_ca: without cert there is no TLS")


class ReplicaTlsSettings(Strict, frozen=True):
    """TLS to all replicas, from workers and from the prober."""

    ca: str = ""
    """File: the authorities of replicas' certificates. Empty: plain text."""
    cert: str = ""
    """File: the certificate that we show to replicas, where they ask for one."""
    key: str = ""
    """File: its private key, without a passphrase."""
    server_name: str = ""
    """The name that every replica's certificate bears. Empty: the host of its address."""

    def __post_init__(self) -> None:
        _check_pair(self.cert, self.key)
        for name, value in (("cert", self.cert), ("server_name", self.server_name)):
            if value and not self.ca:
                raise ValueError(f"{name}: without ca there is no TLS")


class TlsSettings(Strict, frozen=True):
    """Both sides of the gateway."""

    agents: AgentTlsSettings = AgentTlsSettings()
    """On the agents' port."""
    replicas: ReplicaTlsSettings = ReplicaTlsSettings()
    """To replicas."""
    reread_interval_s: PositiveSeconds = 5.0
    """How often the files are looked at. What has changed holds for new connections; what is broken is not used."""
