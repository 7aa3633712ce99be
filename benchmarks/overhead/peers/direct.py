"""No proxy: what the agents and the replicas themselves take."""

from benchmarks.overhead.peers.base import Place, Running


def start(place: Place) -> Running:
    return Running(place.replica_ports)
