"""How control connects to replicas."""

from collections.abc import Callable

import grpc
import grpc.aio

from gateway.config import ConnectSettings
from gateway.tls.material import ReplicaTls


class ReplicaChannels:
    """Opens channels, each with what is known of certificates by then."""

    def __init__(self, settings: ConnectSettings, tls: Callable[[], ReplicaTls | None]) -> None:
        self.settings = settings
        self._tls = tls

    def open(self, address: str, keepalive_interval_s: float) -> grpc.aio.Channel:
        """Return a channel that connects at its first call."""
        timeout_ms = round(self.settings.keepalive_timeout_s * 1000)
        options: list[tuple[str, str | int]] = [
            # A process that is stopped, with a kernel that still answers, is noticed by ping_timeout alone; without
            # it that takes a minute (measured on grpcio 1.62 to 1.85).
            ("grpc.keepalive_time_ms", round(keepalive_interval_s * 1000)),
            ("grpc.keepalive_timeout_ms", timeout_ms),
            ("grpc.http2.ping_timeout_ms", timeout_ms),
            ("grpc.http2.max_pings_without_data", 0),
            # No PING after each message that comes, to measure the path: reports are small, one a second or so, and of
            # what an idle control costs these PINGs were a quarter (grpcio 1.85).
            ("grpc.http2.bdp_probe", 0),
            # A connection and a backoff of its own, not shared with other channels of this process.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_retries", 0),
            # Replicas are reached directly, whatever the environment says of proxies.
            ("grpc.enable_http_proxy", 0),
        ]
        tls = self._tls()
        if tls is None:
            return grpc.aio.insecure_channel(address, options)
        if tls.server_name:
            options.append(("grpc.ssl_target_name_override", tls.server_name))
        return grpc.aio.secure_channel(address, _credentials(tls), options)


def _credentials(tls: ReplicaTls) -> grpc.ChannelCredentials:
    ca, own = tls.ca.encode("ascii"), tls.identity
    if own is None:
        return grpc.ssl_channel_credentials(ca)
    return grpc.ssl_channel_credentials(ca, own.key.encode("ascii"), own.chain.encode("ascii"))
