"""One authority for all who speak TLS here: agents, gateways and replicas."""

from pathlib import Path

from tests.certificates import Authority, write

HTTPS = "https://"
AUTHORITY = Authority()
PARTIES = ("agent", "gateway", "replica")


def write_certificates(folder: Path) -> None:
    """Write what python/calls.py and the gateway's settings name."""
    AUTHORITY.write_ca(folder)
    for name in PARTIES:
        write(AUTHORITY.issue("127.0.0.1"), folder, name)


def agents_tls(folder: Path, *, asks: bool) -> dict[str, str]:
    """Return the gateway's settings for agents, who have to show a certificate where it asks for one."""
    own = {"cert": str(folder / "gateway.pem"), "key": str(folder / "gateway.key")}
    return {**own, "client_ca": str(folder / "ca.pem")} if asks else own


def replicas_tls(folder: Path) -> dict[str, str]:
    """Return the gateway's settings for replicas, who ask for its certificate."""
    return {**agents_tls(folder, asks=False), "ca": str(folder / "ca.pem")}
