"""The one line that a gateway prints, once it takes connections."""

from gateway.config import Settings


def announcement(address: str, settings: Settings) -> str:
    """Return where it listens, for how much, and how it chooses."""
    count = len(settings.replicas)
    replicas = "1 replica" if count == 1 else f"{count} replicas"
    if sources := len(settings.discovery):
        replicas += f" and {sources} source" + "s" * (sources > 1)
    return f"gateway listening on {address} ({replicas}, policy {settings.policy})"
