"""A gateway whose agents hold more memory than it may spend on them refuses work, and lives."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from itertools import islice
from pathlib import Path

import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse

from benchmarks.attacks.attacks import ATTACKS
from benchmarks.cluster import Cluster, Plan
from benchmarks.observe import worker
from benchmarks.processes import Processes
from gateway.control.replica_calls import ReplicaCalls
from gateway.errors import Limit
from gateway.http2 import frames
from inference.v1 import inference_pb2 as pb
from inference.v1.inference_pb2_grpc import InferenceStub
from tests.end_to_end.conftest import SIMULATED
from tests.end_to_end.observe import samples, total, until

pytestmark = pytest.mark.e2e

MIB = 1024 * 1024
SOFT_BYTES, HARD_BYTES = 2 * MIB, 8 * MIB
BETWEEN_BYTES, ABOVE_BYTES = 5 * MIB, 14 * MIB
"""What agents send of a request that they do not end: one, since above the soft limit others are refused."""
REQUEST = pb.GenerateRequest(text="hello", sampling=pb.SamplingParameters(max_tokens=5))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Cluster]:
    """A gateway with little memory for its agents."""
    with Processes(tmp_path) as processes:
        limits = {"memory_soft_bytes": SOFT_BYTES, "memory_hard_bytes": HARD_BYTES}
        settings = {"limits": limits, "worker_silence_s": 60}
        cluster = Cluster(processes, Plan(1, "m", engine_arguments=SIMULATED, settings=settings), tmp_path)
        cluster.start()
        yield cluster


async def test_memory_that_agents_hold_costs_others_a_wait_and_the_gateway_nothing(small: Cluster) -> None:
    alive = worker(small.gateway.pid)
    async with grpc.aio.insecure_channel(small.address) as channel:
        await ask(channel)
        async with half_a_request(small, BETWEEN_BYTES):
            await until(lambda: held_bytes(small) > SOFT_BYTES)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await ask(channel)
            assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            trailers = dict(caught.value.trailing_metadata())
            assert reason(trailers["grpc-status-details-bin"]) == "OVERLOADED"
            assert int(trailers["grpc-retry-pushback-ms"]) >= 1_000
            health = await ReplicaCalls(channel).check(HealthCheckRequest())
            assert HealthCheckResponse.FromString(health).status == HealthCheckResponse.SERVING
        await until(lambda: held_bytes(small) < SOFT_BYTES)
        await ask(channel)
        assert (met(small, Limit.MEMORY_SOFT_BYTES), met(small, Limit.MEMORY_HARD_BYTES)) == (1, 0)
        async with half_a_request(small, ABOVE_BYTES) as closed:
            async with asyncio.timeout(60):
                await closed.wait()
            await until(lambda: held_bytes(small) < SOFT_BYTES)
            await ask(channel)
        assert met(small, Limit.MEMORY_HARD_BYTES) == 1
    assert worker(small.gateway.pid) == alive
    assert total(samples(small), "inference_gateway_lease_audit") == 0


@contextlib.asynccontextmanager
async def half_a_request(cluster: Cluster, size: int) -> AsyncGenerator[asyncio.Event, None]:
    """An agent that has sent so many bytes, or was cut off before. It leaves with the context; the event is set when
    the gateway has ended its connection."""
    attack, is_closed = ATTACKS["large requests"], asyncio.Event()
    host, _, port = cluster.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(_read(reader, is_closed))
        with contextlib.suppress(ConnectionError):
            writer.write(attack.opening)
            for piece in islice(attack.pieces(), size // frames.MAX_FRAME_BYTES):
                writer.write(piece)
                await writer.drain()
        try:
            yield is_closed
        finally:
            reading.cancel()
            writer.close()


async def _read(reader: asyncio.StreamReader, is_closed: asyncio.Event) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(65_536):
            pass
    is_closed.set()


async def ask(channel: grpc.aio.Channel) -> None:
    """Raises AioRpcError unless it is answered."""
    assert [each async for each in InferenceStub(channel).Generate(REQUEST)]


def held_bytes(cluster: Cluster) -> float:
    return total(samples(cluster), "inference_gateway_held_bytes")


def met(cluster: Cluster, limit: Limit) -> float:
    return total(samples(cluster), "inference_gateway_limits_hit_total", limit=limit)


def reason(details: str | bytes) -> str:
    assert isinstance(details, bytes)
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(details).details[0].Unpack(info)
    return info.reason
