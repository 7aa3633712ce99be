"""What is measured: each peer is a proxy between the same agents and the same replicas, started as processes."""

from collections.abc import Mapping

FLOOR = "frame floor"

PEERS: Mapping[str, str] = {
    "direct": "benchmarks.overhead.peers.direct:start",
    "gateway": "benchmarks.overhead.peers.gateway:start",
    "gateway compiled": "benchmarks.overhead.peers.gateway:start_compiled",
    "gateway 2 workers": "benchmarks.overhead.peers.gateway:start_two_workers",
    "gateway opaque": "benchmarks.overhead.peers.gateway:start_opaque",
    "grpc.aio": "benchmarks.overhead.peers.grpc_aio:start",
    "Envoy": "benchmarks.overhead.peers.envoy:start",
    "HAProxy": "benchmarks.overhead.peers.haproxy:start",
    "nginx": "benchmarks.overhead.peers.nginx:start",
    FLOOR: "benchmarks.overhead.peers.floor:start",
}
"""Where each is started, by name, in the order of tables."""
