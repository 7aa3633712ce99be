"""Connections of agents."""

import socket

from benchmarks.overhead.agent import Agent, Fields
from benchmarks.overhead.loop import Loop, now_ns
from benchmarks.overhead.tasks import Task

_TIMEOUT_S = 10


class Unable(Exception):
    """The proxy does not do what is asked. The message says what."""


def connect(loop: Loop, task: Task, kind: type[Agent]) -> list[Agent]:
    """Return connections whose peers have said what they allow. Raises Unable."""
    agents: list[Agent] = []
    for number in range(task.connections):
        port = task.ports[number % len(task.ports)]
        sock = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
        agents.append(kind(loop, sock, _request_fields(task.path, port)))
    deadline_ns = now_ns() + _TIMEOUT_S * 10**9
    loop.at(deadline_ns, lambda: None)
    loop.run(lambda: all(agent.is_ready for agent in agents) or now_ns() >= deadline_ns)
    if not all(agent.is_ready for agent in agents):
        raise Unable("sends no SETTINGS")
    allowed = min(agent.max_streams for agent in agents)
    if task.streams > allowed * len(agents):
        raise Unable(f"allows {allowed} streams on a connection")
    return agents


def _request_fields(path: str, port: int) -> Fields:
    return (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"127.0.0.1:%d" % port),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"benchmark/1"),
    )


def replica_connection(loop: Loop, port: int) -> Agent:
    sock = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)
    return Agent(loop, sock, _request_fields("/benchmark.Replica/Command", port))
