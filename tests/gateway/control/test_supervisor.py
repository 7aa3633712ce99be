import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path

import pytest
from msgspec import structs

from gateway.channel import channel
from gateway.channel.messages import (
    Configure,
    Down,
    Drain,
    FleetChanged,
    Outcome,
    OutcomeKind,
    Outcomes,
    Progress,
    Reconfigure,
)
from gateway.channel.shared_memory import SharedMemory
from gateway.config import Settings
from gateway.control.peers import Peers
from gateway.control.supervisor import Supervisor, WorkerFailed
from gateway.control.worker_process import Launch, WorkerProcess
from gateway.control.workers import Workers
from gateway.errors import SettingsError
from gateway.fleet.shared_counters import Cell, Rows, SharedTally, size_bytes
from gateway.metrics import Family, Registry
from gateway.types import ReplicaRecord, ReplicaState, Snapshot

pytestmark = pytest.mark.e2e

# On a busy machine a worker may need long to start, and be silent for seconds.
PATIENT = Settings(grace_s=0.2, worker_silence_s=60)
FAKE = Path(__file__).with_name("fake_worker.py")
NETWORK = 1
"""Of all agents here."""


class Supervised:
    """Some supervised workers, and what they make known."""

    def __init__(self, modes: Sequence[str], settings: Settings) -> None:
        self._changed = asyncio.Event()
        self.availability: list[bool] = []
        self.seen: list[Outcomes | Progress] = []
        self.restarts = Registry().counter("restarts_total", "").child()
        self.settings = settings
        self.memory = SharedMemory.made(size_bytes(len(modes)))
        self.rows = Rows(self.memory.view, len(modes))
        self.peers = Peers(self.rows)
        assert self.peers.enter("127.0.0.1", settings.limits) == NETWORK
        self.workers = Workers(self._greeting, self._on_available, self.rows, self.peers)
        self.supervisors = [
            Supervisor(
                worker_id,
                Launch([sys.executable, str(FAKE), mode], self.memory.fd),
                settings,
                self.workers,
                self.seen.append,
                self.restarts,
            )
            for worker_id, mode in enumerate(modes)
        ]

    def _greeting(self, worker_id: int) -> tuple[Down, ...]:
        configure = Configure(worker_id, len(self.supervisors), "gateway-1", "", self.settings)
        return configure, FleetChanged(Snapshot(0, ()))

    def _on_available(self, is_available: bool) -> None:
        self.availability.append(is_available)
        self._changed.set()

    async def available(self, *changes: bool) -> None:
        async with asyncio.timeout(60):
            while self.availability != list(changes):
                self._changed.clear()
                await self._changed.wait()


@contextlib.asynccontextmanager
async def supervised(*modes: str, settings: Settings | None = None) -> AsyncGenerator[Supervised, None]:
    them = Supervised(modes, settings or PATIENT)
    with contextlib.closing(them.memory):
        async with asyncio.TaskGroup() as tasks:
            for supervisor in them.supervisors:
                tasks.create_task(supervisor.run())
            yield them
            for supervisor in them.supervisors:
                supervisor.drain()
            them.workers.tell(Drain(0.2))


class Agent:
    """A connection that was accepted and handed over, from the agent's side."""

    def __init__(self, workers: Workers | WorkerProcess, after_s: float = 0.0) -> None:
        """`after_s`: how much later than now it comes, for who places it."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._end = socket.create_connection(listener.getsockname())
            accepted, _ = listener.accept()
        self._end.setblocking(False)
        accepted.setblocking(False)
        self.was_taken = workers.hand_over(accepted, NETWORK, time.monotonic() + after_s)
        if not self.was_taken:
            accepted.close()

    async def read(self) -> bytes:
        async with asyncio.timeout(60):
            return await asyncio.get_running_loop().sock_recv(self._end, 100)

    async def pid(self) -> int:
        """Of its worker."""
        return int((await self.read()).split()[0])

    async def policy(self) -> str:
        """That its worker has in force."""
        return (await self.read()).split()[1].decode()

    def say(self, word: bytes) -> None:
        self._end.sendall(word)

    def close(self) -> None:
        self._end.close()


def value(families: Sequence[Family], name: str) -> float | None:
    return next((family.samples[0].values[0] for family in families if family.name == name), None)


async def test_a_worker_gets_connections_once_it_is_ready_and_ends_when_asked() -> None:
    async with supervised("well") as them:
        early = Agent(them.workers)
        assert not early.was_taken
        assert await early.read() == b""
        await them.available(True)
        with contextlib.closing(Agent(them.workers)) as agent:
            assert agent.was_taken
            assert await agent.pid() > 0
        early.close()
    assert them.availability == [True, False]
    assert them.seen == [Outcomes([Outcome("a", 1, OutcomeKind.ANSWERED)])]
    assert them.restarts.values == [0]


async def test_a_crash_costs_the_workers_own_connections_and_nothing_else() -> None:
    async with supervised("well", "well") as them:
        await them.available(True)
        agents = [Agent(them.workers) for _ in range(4)]
        pids = [await agent.pid() for agent in agents]
        assert sorted(map(pids.count, set(pids))) == [2, 2]
        families = await them.workers.families(5.0)
        assert (value(families, "inference_gateway_adopted_total"), value(families, "inference_gateway_held")) == (4, 4)
        assert repr(them.peers) == "<Peers: 4 connections, 1 networks>"
        agents[0].say(b"crash\n")
        assert await agents[0].read() == b""
        await them.available(True, True)
        with contextlib.closing(Agent(them.workers)) as late:
            assert await late.pid() not in pids
        survivors = [agent for agent, pid in zip(agents, pids, strict=True) if pid != pids[0]]
        families = await them.workers.families(5.0)
        await until(lambda: repr(them.peers) == "<Peers: 2 connections, 1 networks>")
        # What the dead one counted is still counted; what it held is gone.
        assert value(families, "inference_gateway_adopted_total") == 5
        assert value(families, "inference_gateway_held") in (2, 3)
        assert them.restarts.values == [1]
        for agent in survivors:
            agent.say(b"hello\n")
        for agent in agents:
            agent.close()


@pytest.mark.parametrize(("mode", "timeout_s", "how"), [("dies", 60, "exit code 5"), ("silent", 1, "signal 9")])
async def test_a_worker_that_cannot_start_is_not_tried_for_ever(mode: str, timeout_s: float, how: str) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        async with supervised(mode, settings=Settings(worker_start_timeout_s=timeout_s)):
            await asyncio.Event().wait()
    (failed,) = raised.value.exceptions
    assert isinstance(failed, WorkerFailed)
    assert str(failed) == f"the worker did not start: {how}"


async def test_a_worker_that_does_not_read_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "BUFFERED_BYTES_MAX", 100_000)
    with pytest.raises(ExceptionGroup) as raised:
        await tell_much_to_a_deaf_worker()
    assert str(raised.value.exceptions[0]) == "the worker did not start: signal 9"


async def tell_much_to_a_deaf_worker() -> None:
    replica = ReplicaRecord("a", "a:1", 1, ReplicaState.READY, frozenset(map(str, range(1_000))), 1.0, None)
    async with supervised("deaf") as them:
        for version in range(1_000):
            them.workers.tell(FleetChanged(Snapshot(version, (replica,))))
            await asyncio.sleep(0)
        await asyncio.Event().wait()


async def test_a_late_answer_does_not_hold_up_a_scrape() -> None:
    async with supervised("well") as them:
        await them.available(True)
        assert value(await them.workers.families(20.0), "inference_gateway_adopted_total") == 0
        assert value(await them.workers.families(0.0), "inference_gateway_adopted_total") == 0


async def until(is_so: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not is_so():
            await asyncio.sleep(0.01)


async def test_idle_connections_are_shared_out_evenly_while_others_close() -> None:
    async with supervised("well", "well", "well", "well") as them:
        await them.available(True)
        agents = [Agent(them.workers) for _ in range(40)]
        pids = [await agent.pid() for agent in agents]
        assert sorted(Counter(pids).values()) == [10, 10, 10, 10]
        leaving = [agent for agent, pid in zip(agents, pids, strict=True) if pid == pids[0]][:9]
        for agent in leaving:
            agent.close()
        await until(lambda: min(busyness(them.workers)) == (False, 0.0, 1))
        late = [Agent(them.workers) for _ in range(6)]
        assert {await agent.pid() for agent in late} == {pids[0]}
        later = [Agent(them.workers) for _ in range(4)]
        counts = Counter([*pids, *[await agent.pid() for agent in later]])
        counts[pids[0]] += len(late) - len(leaving)
        assert max(counts.values()) - min(counts.values()) <= 1
        for agent in agents + late + later:
            agent.close()


def busyness(workers: Workers) -> list[tuple[bool, float, int]]:
    return [worker.busyness(0.0, time.monotonic()) for worker in workers.running]


async def test_a_worker_with_streams_gets_no_connection_while_another_has_none() -> None:
    async with supervised("busy", "well") as them:
        await them.available(True)
        agents = [Agent(them.workers) for _ in range(2)]
        await until(lambda: sum(worker.presence.streams for worker in them.workers.running) == 1)
        agents += [Agent(them.workers, after_s=60) for _ in range(2)]
        assert sorted(Counter([await agent.pid() for agent in agents]).values()) == [1, 3]
        for agent in agents:
            agent.close()


async def test_a_burst_of_connections_is_shared_out_before_it_has_brought_a_stream() -> None:
    async with supervised("well", "busy") as them:
        await them.available(True)
        (busy,) = [worker for worker in them.workers.running if worker.worker_id == 1]
        agents = [Agent(busy) for _ in range(4)]
        await until(lambda: busy.presence.streams == 4)
        # The other one never has a stream, and still does not get them all.
        burst = [Agent(them.workers, after_s=60) for _ in range(8)]
        assert Counter([await agent.pid() for agent in burst])[busy.pid] == 2
        for agent in agents + burst:
            agent.close()


async def test_a_frozen_worker_gets_no_connections_is_killed_and_replaced() -> None:
    async with supervised("well", "well", settings=structs.replace(PATIENT, worker_silence_s=4)) as them:
        await them.available(True)
        first = Agent(them.workers)
        frozen = await first.pid()
        SharedTally(them.rows, 0, Cell.REQUEST_BYTES).set(5)
        SharedTally(them.rows, 1, Cell.REQUEST_BYTES).set(6)
        os.kill(frozen, signal.SIGSTOP)
        await until(lambda: any(worker.is_late for worker in them.workers.running))
        others = [Agent(them.workers) for _ in range(4)]
        assert frozen not in [await agent.pid() for agent in others]
        assert await first.read() == b""
        await them.available(True, True)
        assert them.restarts.values == [1]
        # What the dead one held is given back, what the living one holds is not.
        held = [SharedTally(them.rows, worker, Cell.REQUEST_BYTES).elsewhere() for worker in (0, 1)]
        assert sorted(held) in ([0, 5], [0, 6])
        for agent in (first, *others):
            agent.close()


async def test_settings_change_in_all_workers() -> None:
    async with supervised("well", "well") as them:
        await them.available(True)
        changed = structs.replace(PATIENT, policy="random")
        await them.workers.prepare(changed, timeout_s=20)
        them.workers.tell(Reconfigure(changed))
        # Another channel than descriptors have: the answer tells that what was told before is done.
        await them.workers.families(20)
        agents = [Agent(them.workers) for _ in range(2)]
        assert [await agent.policy() for agent in agents] == ["random", "random"]
        for agent in agents:
            agent.close()


@pytest.mark.parametrize(
    ("mode", "timeout_s", "problem"), [("random", 20, "no"), ("mute", 0.1, "worker 1 does not answer")]
)
async def test_what_one_worker_cannot_use_is_refused(mode: str, timeout_s: float, problem: str) -> None:
    async with supervised("well", mode) as them:
        await them.available(True)
        with pytest.raises(SettingsError, match=problem):
            await them.workers.prepare(Settings(policy="random"), timeout_s)
