"""Proxies between agents and the gateway: those of benchmarks.overhead, with one gateway as their only replica."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TypeAlias

from benchmarks.cluster import Cluster, Plan
from benchmarks.overhead.peers import envoy, haproxy, nginx
from benchmarks.overhead.peers.base import Missing, Place, Start
from benchmarks.processes import Processes
from tests.interop.tls import HTTPS, agents_tls, write_certificates

Front: TypeAlias = Callable[[Cluster, Processes, Path], str | None]
"""Starts a proxy and returns its address, or None where it is not installed."""


def behind(start: Start) -> Front:
    def front(cluster: Cluster, processes: Processes, folder: Path) -> str | None:
        gateway_port = int(cluster.address.rpartition(":")[2])
        try:
            running = start(Place(processes, folder, [gateway_port]))
        except Missing:
            return None
        return f"127.0.0.1:{running.ports[0]}"

    return front


def behind_gateway(cluster: Cluster, processes: Processes, folder: Path, **more: object) -> str:
    """A gateway of this project, for which the other one is a replica; with more settings."""
    settings = {
        "replicas": [{"id": "inner", "address": cluster.address}],
        "opaque_services": ["grpc.testing.TestService"],
        "parking_s": 10,
        **more,
    }
    outer = Cluster(processes, Plan(replicas=0, model="", settings=settings), folder)
    outer.start()
    return outer.address


def behind_secured_gateway(cluster: Cluster, processes: Processes, folder: Path) -> str:
    """One that asks agents for certificates."""
    write_certificates(folder)
    return HTTPS + behind_gateway(cluster, processes, folder, tls={"agents": agents_tls(folder, asks=True)})


FRONTS: Mapping[str, Front] = {
    "gateway": behind_gateway,
    "gateway over mTLS": behind_secured_gateway,
    "envoy": behind(envoy.start),
    "haproxy": behind(haproxy.start),
    "nginx": behind(nginx.start),
}


def start_fronts(cluster: Cluster, new_folder: Callable[[str], Path], stack: ExitStack) -> Mapping[str, str | None]:
    """Start all of them in front of one gateway; they end with `stack`."""
    addresses: dict[str, str | None] = {}
    for name, start in FRONTS.items():
        folder = new_folder(name)
        addresses[name] = start(cluster, stack.enter_context(Processes(folder)), folder)
    return addresses
