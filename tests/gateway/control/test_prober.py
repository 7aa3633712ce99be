import asyncio
import socket
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import grpc
import pytest

from gateway.config import ConnectSettings, ProbeSettings, ReplicaSettings
from gateway.control import health_connection
from gateway.control.fleet_owner import Change, FleetOwner, ModelOffer
from gateway.control.prober import Prober
from gateway.control.replica_channels import ReplicaChannels
from gateway.types import ReplicaRecord, ReplicaState
from inference.v1.inference_pb2 import Model
from tests.gateway.control.replica import NOT_SERVING, SERVING, running_replica

CONNECT = ConnectSettings(backoff_base_s=0.01, backoff_max_s=0.05)
IMPATIENT = ConnectSettings(backoff_base_s=0.01, backoff_max_s=0.05, keepalive_interval_s=0.05)
PROBE = ProbeSettings(timeout_s=2.0)


class Asking:
    """The fleet that the prober writes, and a way to wait for it."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.owner = FleetOwner(self._on_change, time.monotonic)
        self.states: list[ReplicaState] = []
        """Those that the first replica went through."""

    def _on_change(self, _: Change) -> None:
        for record in self.owner.snapshot().replicas[:1]:
            if record.state not in self.states[-1:]:
                self.states.append(record.state)
        self._changed.set()

    async def until(self, condition: Callable[[ReplicaRecord], object], replica: int = 0) -> ReplicaRecord:
        async with asyncio.timeout(10):
            while True:
                records = self.owner.snapshot().replicas
                if records and condition(records[replica]):
                    return records[replica]
                self._changed.clear()
                await self._changed.wait()


async def static(replicas: Sequence[ReplicaSettings]) -> AsyncGenerator[Sequence[ReplicaSettings], None]:
    yield replicas


async def discovered(found: asyncio.Queue[list[int]]) -> AsyncGenerator[Sequence[ReplicaSettings], None]:
    while True:
        yield [ReplicaSettings(address=f"127.0.0.1:{port}") for port in await found.get()]


@asynccontextmanager
async def asking(
    *ports: int, found: asyncio.Queue[list[int]] | None = None, connect: ConnectSettings = CONNECT
) -> AsyncGenerator[Asking, None]:
    asking = Asking()
    prober = Prober(asking.owner, "gateway-1", ReplicaChannels(connect, lambda: None), PROBE, time.monotonic)
    replicas = static([ReplicaSettings(address=f"127.0.0.1:{port}") for port in ports])
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(prober.run(discovered(found) if found else replicas))
        try:
            yield asking
        finally:
            running.cancel()


def is_ready(record: ReplicaRecord) -> bool:
    return record.state is ReplicaState.READY


async def test_a_serving_replica_becomes_ready_with_its_models_and_load() -> None:
    async with running_replica() as replica, asking(replica.port) as fleet:
        record = await fleet.until(is_ready)
        assert (record.models, record.incarnation) == ({"m"}, 1)
        assert record.load is not None
        assert record.load.boot_id == 7
        await replica.report(queue_depth=3.0, kv_cache_utilization=0.25)
        record = await fleet.until(lambda record: record.load and record.load.queue_depth == 3.0)
        assert record.load is not None
        assert record.load.kv_cache_utilization == 0.25
        assert replica.watched == ["inference.v1.Inference"]
        assert replica.gateway_ids == ["gateway-1"]
        assert fleet.owner.replicas[0].offers == (ModelOffer("m", context_tokens=8192),)


async def test_a_replica_that_warms_up_is_not_ready_before_it_says_so() -> None:
    async with running_replica() as replica:
        await replica.say(NOT_SERVING)
        async with asking(replica.port) as fleet:
            await fleet.until(lambda record: record.load is not None)
            assert fleet.states == [ReplicaState.STARTING]
            await replica.say(SERVING)
            await fleet.until(is_ready)


async def test_a_replica_that_drains_is_left_alone_and_comes_back() -> None:
    async with running_replica() as replica, asking(replica.port) as fleet:
        await fleet.until(is_ready)
        await replica.say(NOT_SERVING)
        await fleet.until(lambda record: record.state is ReplicaState.DRAINING)
        await replica.say(SERVING)
        assert (await fleet.until(is_ready)).incarnation == 1


@pytest.mark.parametrize("status", [3, 99], ids=["service unknown", "a status that nobody knows"])
async def test_whatever_else_its_health_says_is_not_serving(status: int) -> None:
    async with running_replica() as replica, asking(replica.port) as fleet:
        await fleet.until(is_ready)
        await replica.say(status)
        await fleet.until(lambda record: record.state is ReplicaState.DRAINING)


async def test_a_replica_without_health_counts_as_healthy_and_is_asked_whether_it_lives() -> None:
    async with running_replica() as replica:
        replica.has_watch = replica.has_reports = False
        replica.models = grpc.StatusCode.UNIMPLEMENTED
        async with asking(replica.port, connect=IMPATIENT) as fleet:
            assert (await fleet.until(is_ready)).models == set()
            await replica.checked(3)
            assert fleet.states == [ReplicaState.STARTING, ReplicaState.READY]
            await replica.stop()
            await fleet.until(lambda record: record.state is ReplicaState.SUSPECT)


async def test_a_replica_that_cannot_name_its_models_yet_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_connection, "_RETRY_S", 0.01)
    async with running_replica() as replica:
        replica.models = grpc.StatusCode.UNAVAILABLE
        async with asking(replica.port) as fleet:
            await fleet.until(lambda record: record.load is not None)
            assert not fleet.owner.has_ready()
            replica.models = [Model(name="late")]
            assert (await fleet.until(is_ready)).models == {"late"}


async def test_a_replica_that_refuses_to_name_its_models_is_ready_with_none() -> None:
    async with running_replica() as replica:
        replica.models = grpc.StatusCode.PERMISSION_DENIED
        async with asking(replica.port) as fleet:
            assert (await fleet.until(is_ready)).models == set()


async def test_the_same_process_after_a_broken_connection_is_the_same_incarnation() -> None:
    async with running_replica() as replica, asking(replica.port) as fleet:
        await fleet.until(is_ready)
        await replica.stop()
        await fleet.until(lambda record: record.state is ReplicaState.SUSPECT)
        await replica.start(replica.port)
        assert (await fleet.until(is_ready)).incarnation == 1


async def test_another_process_at_the_address_is_another_incarnation() -> None:
    async with running_replica() as replica, asking(replica.port) as fleet:
        await fleet.until(is_ready)
        await replica.stop()
        replica.boot_id = 8
        await replica.start(replica.port)
        record = await fleet.until(lambda record: is_ready(record) and record.incarnation == 2)
        assert record.load is not None
        assert record.load.boot_id == 8


async def test_a_boot_id_that_changes_while_the_connection_stays_starts_over() -> None:
    async with running_replica() as replica, asking(replica.port) as fleet:
        await fleet.until(is_ready)
        replica.boot_id = 8
        await replica.report()
        await fleet.until(lambda record: is_ready(record) and record.incarnation == 2)
        assert ReplicaState.SUSPECT in fleet.states


async def test_a_replica_that_is_not_there_yet_is_found_when_it_comes() -> None:
    async with running_replica() as replica:
        await replica.stop()
        async with asking(replica.port) as fleet:
            await fleet.until(lambda _: True)
            async with asyncio.timeout(10):
                while "Connection refused" not in fleet.owner.replicas[0].reason:
                    await asyncio.sleep(0.01)
            await replica.start(replica.port)
            await fleet.until(is_ready)


class Brittle(FleetOwner):
    """Has a defect that one replica meets, once."""

    def __init__(self) -> None:
        super().__init__(lambda _: None, time.monotonic)
        self.met = asyncio.Event()

    def connected(self, replica_id: str) -> None:
        if not self.met.is_set():
            self.met.set()
            raise RuntimeError("a defect")
        super().connected(replica_id)


async def test_a_defect_met_with_one_replica_ends_neither_its_probes_nor_the_gateway(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running_replica() as replica, asyncio.TaskGroup() as tasks:
        owner = Brittle()
        prober = Prober(owner, "gateway-1", ReplicaChannels(CONNECT, lambda: None), PROBE, time.monotonic)
        running = tasks.create_task(prober.run(static([ReplicaSettings(address=f"127.0.0.1:{replica.port}")])))
        async with asyncio.timeout(10):
            while not owner.has_ready():
                await asyncio.sleep(0.01)
        running.cancel()
    assert owner.met.is_set()
    assert "RuntimeError: a defect" in caplog.text
    # The record holds the traceback, that the frames, and those grpcio's descriptors.
    caplog.clear()


async def test_one_replica_that_never_answers_does_not_delay_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with running_replica() as replica, asking(silent.getsockname()[1], replica.port) as fleet:
            await fleet.until(is_ready, replica=1)
            assert fleet.owner.snapshot().replicas[0].state is ReplicaState.STARTING


GARBAGE = b"\xff\xff\xff"


async def test_garbage_from_a_replica_costs_nobody_else_anything() -> None:
    async with running_replica() as broken, running_replica() as replica:
        await broken.say(GARBAGE)
        async with asking(broken.port, replica.port) as fleet:
            await fleet.until(is_ready, replica=1)
            await broken.say(SERVING)
            await fleet.until(is_ready, replica=0)
            await broken.report(GARBAGE)
            await broken.say(NOT_SERVING)
            await fleet.until(lambda record: record.state is ReplicaState.DRAINING)
            broken.models = GARBAGE
            await broken.say(SERVING)
            await fleet.until(lambda record: is_ready(record) and record.models == frozenset())


async def test_a_replica_that_discovery_drops_is_asked_no_more() -> None:
    async with running_replica() as replica:
        found: asyncio.Queue[list[int]] = asyncio.Queue()
        found.put_nowait([replica.port])
        async with asking(found=found) as fleet:
            await fleet.until(is_ready)
            found.put_nowait([])
            await replica.left()
            assert fleet.owner.snapshot().replicas == ()
