"""The least that a frame relay in plain Python can do (floor_proxy.py)."""

import sys

from benchmarks.overhead.peers.base import Place, Running, listening_port


def start(place: Place) -> Running:
    ports = map(str, place.replica_ports)
    module = "benchmarks.overhead.peers.floor_proxy"
    process = place.processes.start("floor", [sys.executable, "-m", module, "0", *ports])
    return Running([listening_port(process)], {"proxy": process.pid})
