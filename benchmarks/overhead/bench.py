"""Starts peers between the two ends, and measures one of them once."""

import pkgutil
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from msgspec.structs import replace

from benchmarks.overhead.ends import Agents, Failed, Replicas
from benchmarks.overhead.machine import Cores, memory, pinned
from benchmarks.overhead.peers import PEERS
from benchmarks.overhead.peers.base import Place, Running, Start
from benchmarks.overhead.results import Idle
from benchmarks.overhead.runs import cpu_ns
from benchmarks.overhead.tasks import Result, Task
from benchmarks.processes import Processes

REPLICAS = 3
_REST_S, _REST_SHARE = 0.05, 0.1
"""A peer is at rest when it takes less than this share of a core for this long."""
_REST_TIMEOUT_S = 5.0
_HELD_CONNECTIONS = 100
"""Over which held streams go: 100 on each, as many as every proxy takes by default."""
_HELD_TIMEOUT_S = 60.0


class Bench:
    """The two ends, on their core."""

    def __init__(self, stack: ExitStack, cores: Cores) -> None:
        self._cores = cores
        with pinned(cores.others):
            self._replicas = stack.enter_context(Replicas(REPLICAS))
            self._agents = stack.enter_context(Agents())

    @contextmanager
    def started(self, name: str) -> Generator[Running]:
        """Start a peer on its core; leaving ends it. Raises Missing or NotReady."""
        start: Start = pkgutil.resolve_name(PEERS[name])
        with tempfile.TemporaryDirectory(prefix="overhead-") as folder, Processes(Path(folder)) as processes:
            with pinned({self._cores.proxy}):
                running = start(Place(processes, Path(folder), self._replicas.ports))
            _let_rest(running)
            yield running

    def warm_up(self, running: Running) -> None:
        """Let a peer open its connections and meet its first requests. Raises Failed when it passes none."""
        self.measure(running, Task(kind="closed", streams=16, measured_s=0.1))
        self.measure(running, Task(streams=16, measured_s=0.1))

    def measure(self, running: Running, task: Task) -> Result:
        """Raises Failed."""
        _let_rest(running)
        groups = [list(running.pids.values()), [self._replicas.pid]]
        result = self._agents.perform(
            replace(task, ports=running.ports, replica_ports=self._replicas.ports, path=running.path, pids=groups)
        )
        if result.failed:
            raise Failed(f"{result.failed} streams failed")
        return result

    def hold(self, running: Running, round_number: int, peer: str, connections: int, streams: int) -> Idle:
        """Measure what connections and streams take of a peer that was just started. Raises Failed."""
        at_rest = {name: memory(pid) for name, pid in running.pids.items()}
        sizes = [_rss(running)]
        ports, path = running.ports, running.path
        hold = Task(kind="hold", ports=ports, path=path, measured_s=0.5)
        try:
            self._agents.perform(replace(hold, connections=connections))
            sizes.append(_rss(running))
            opened = self._agents.perform(replace(hold, connections=_HELD_CONNECTIONS, streams=streams))
            held = self._wait_for_held(streams)
            if opened.failed or held < streams:
                raise Failed(f"held {held:,} of {streams:,} streams, {opened.failed} failed")
            sizes.append(_rss(running))
        finally:
            self._agents.perform(Task(kind="release"))
        return Idle(
            round=round_number,
            peer=peer,
            at_rest=at_rest,
            connections=connections,
            connections_bytes=sizes[1] - sizes[0],
            streams=streams,
            streams_bytes=sizes[2] - sizes[1],
        )

    def _wait_for_held(self, streams: int) -> int:
        """Return how many streams the replicas have, beside those that control keeps."""
        deadline_at = time.monotonic() + _HELD_TIMEOUT_S
        while (held := self._replicas.held_streams()) < streams and time.monotonic() < deadline_at:
            time.sleep(_REST_S)
        return held


def _rss(running: Running) -> int:
    return sum(memory(pid).rss for pid in running.pids.values())


def _let_rest(running: Running) -> None:
    """Wait until what was done before is no longer worked on. A peer that never rests is measured as it is."""
    deadline_at = time.monotonic() + _REST_TIMEOUT_S
    while time.monotonic() < deadline_at:
        before_ns = sum(map(cpu_ns, running.pids.values()))
        time.sleep(_REST_S)
        if sum(map(cpu_ns, running.pids.values())) - before_ns < _REST_SHARE * _REST_S * 1e9:
            return
