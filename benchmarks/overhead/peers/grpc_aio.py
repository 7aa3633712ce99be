"""The usual Python proxy, grpc.aio on both sides (grpc_aio_proxy.py)."""

import sys

from benchmarks.overhead.peers.base import Place, Running, listening_port


def start(place: Place) -> Running:
    ports = map(str, place.replica_ports)
    module = "benchmarks.overhead.peers.grpc_aio_proxy"
    process = place.processes.start("grpc-aio", [sys.executable, "-m", module, "0", *ports])
    return Running([listening_port(process)], {"proxy": process.pid})
