"""`inference-gateway serve` as an operator meets it: a real control process, a real worker, replicas behind them."""

import asyncio
import os
import re
import signal
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import grpc
import grpc.aio
import psutil
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from prometheus_client.parser import text_string_to_metric_families

from gateway.control.replica_calls import ReplicaCalls
from inference.v1 import inference_pb2 as pb
from inference.v1 import inference_pb2_grpc
from tests.gateway.control.processes import Program, replica_arguments, running, start

pytestmark = pytest.mark.e2e

GENERATE = "inference.v1.Inference/Generate"
SERVING, NOT_SERVING = HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING


class Gateway:
    """A gateway, and an agent's connection to it."""

    def __init__(self, program: Program, channel: grpc.aio.Channel, admin: Path) -> None:
        self.program = program
        self.channel = channel
        self.admin = admin
        self.inference = inference_pb2_grpc.InferenceStub(channel)

    def worker(self) -> psutil.Process:
        (worker,) = psutil.Process(self.program.process.pid).children()
        return worker

    async def generate(self, tokens: int) -> "grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateResponse]":
        """Return a stream that has begun."""
        sampling = pb.SamplingParameters(max_tokens=tokens, ignore_eos=True)
        call = self.inference.Generate(pb.GenerateRequest(model="m", text="Once", sampling=sampling))
        async with asyncio.timeout(30):
            assert isinstance(await call.read(), pb.GenerateResponse)
        return call

    async def watch(self) -> "grpc.aio.UnaryStreamCall[HealthCheckRequest, bytes]":
        return ReplicaCalls(self.channel).watch(HealthCheckRequest(service="inference.v1.Inference"))

    async def until_ready(self) -> None:
        call = await self.watch()
        async with asyncio.timeout(60):
            while await status(call) != SERVING:
                pass
        call.cancel()

    async def metrics(self) -> dict[tuple[str, ...], float]:
        """Return values by name and label values, these in the order of the labels' names."""
        (address,) = re.findall(r"event=metrics_listening address=(\S+)", self.program.log)
        async with aiohttp.ClientSession() as session, session.get(f"http://{address}/metrics") as response:
            text = await response.text()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return {(sample.name, *sample.labels.values()): sample.value for sample in samples}

    async def until_metrics(self, condition: Callable[[dict[tuple[str, ...], float]], object]) -> None:
        async with asyncio.timeout(60):
            while not condition(await self.metrics()):
                await asyncio.sleep(0.05)


async def status(call: "grpc.aio.UnaryStreamCall[HealthCheckRequest, bytes]") -> int:
    serialized = await call.read()
    assert isinstance(serialized, bytes)
    return HealthCheckResponse.FromString(serialized).status


async def rest_of(call: "grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateResponse]") -> int:
    """Return how many messages came before the end. Raises AioRpcError."""
    count = 0
    async with asyncio.timeout(60):
        while isinstance(await call.read(), pb.GenerateResponse):
            count += 1
    return count


@asynccontextmanager
async def replica(tmp_path: Path, *more: str) -> AsyncGenerator[Program, None]:
    async with running(replica_arguments("127.0.0.1:0", *more), tmp_path / "replica.log") as program:
        yield program


@asynccontextmanager
async def gateway(tmp_path: Path, *arguments: str) -> AsyncGenerator[Gateway, None]:
    admin = tmp_path / "admin.sock"
    addresses = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0", "--admin-listen", str(admin)]
    async with (
        running(["serve", *addresses, *arguments], tmp_path / "gateway.log") as program,
        grpc.aio.insecure_channel(program.address) as channel,
    ):
        yield Gateway(program, channel, admin)


async def test_what_an_operator_and_an_agent_see_of_it(tmp_path: Path) -> None:
    async with (
        replica(tmp_path) as first,
        gateway(tmp_path, "--replica", first.address, "--replica", "127.0.0.1:1") as them,
    ):
        await them.until_ready()
        response = await them.inference.ListModels(pb.ListModelsRequest())
        assert [(model.name, model.ready_replicas) for model in response.models] == [("m", 1)]
        call = await them.generate(tokens=5)
        assert await rest_of(call) > 0  # a replica that comes late to a step sends tokens together
        metrics = await them.metrics()
        assert metrics["inference_gateway_requests_total", GENERATE, first.address, "OK"] == 1
        assert metrics["inference_gateway_replica_state", first.address, "ready"] == 1
        assert metrics["inference_gateway_replica_state", "127.0.0.1:1", "starting"] == 1
        assert metrics[("inference_gateway_lease_audit",)] == 0
        for process in ("control", "worker-0"):
            assert metrics["inference_gateway_process_resident_bytes", process] > 2**20
        shown = await start(["fleet", "--admin", str(them.admin)], tmp_path / "fleet.log")
        table, _ = await shown.process.communicate()
        assert re.search(rf"{first.address}\s+ready\s+m\s", table.decode())


async def test_asked_to_stop_it_says_so_lets_streams_finish_and_leaves_nothing(tmp_path: Path, runtime: Path) -> None:
    async with replica(tmp_path, "--speedup", "1") as first, gateway(tmp_path, "--replica", first.address) as them:
        await them.until_ready()
        watch, call = await them.watch(), await them.generate(tokens=200)
        assert await status(watch) == SERVING
        them.program.signal(signal.SIGTERM)
        assert await status(watch) == NOT_SERVING
        assert await rest_of(call) >= 150
        assert await them.program.exit_code() == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", int(them.program.address.rpartition(":")[2])))
        assert not them.admin.exists()
        assert list(runtime.iterdir()) == []


async def test_a_terminals_interrupt_drains_as_well(tmp_path: Path) -> None:
    async with replica(tmp_path, "--speedup", "1") as first, gateway(tmp_path, "--replica", first.address) as them:
        await them.until_ready()
        call = await them.generate(tokens=100)
        os.killpg(them.program.process.pid, signal.SIGINT)
        assert await rest_of(call) >= 75
        assert await them.program.exit_code() == 0


async def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    async with replica(tmp_path, "--speedup", "0.1") as first, gateway(tmp_path, "--replica", first.address) as them:
        await them.until_ready()
        call, worker = await them.generate(tokens=1_000), them.worker()
        them.program.signal(signal.SIGTERM)
        them.program.signal(signal.SIGINT)
        them.program.signal(signal.SIGTERM)
        # The last one may come when Python has given its handlers back already, and then ends it by itself.
        ends = (128 + signal.SIGTERM, 128 + signal.SIGINT, -signal.SIGTERM)
        assert await them.program.exit_code() in ends
        assert not worker.is_running()
        with pytest.raises(grpc.aio.AioRpcError):
            await rest_of(call)


async def test_a_killed_worker_costs_its_own_connections_and_nothing_else(tmp_path: Path) -> None:
    async with replica(tmp_path) as first, gateway(tmp_path, "--replica", first.address) as them:
        await them.until_ready()
        finished = "inference_gateway_requests_total", GENERATE, first.address, "OK"
        await rest_of(await them.generate(tokens=3))
        assert (await them.metrics())[finished] == 1
        call, worker = await them.generate(tokens=5_000), them.worker()
        worker.kill()
        with pytest.raises(grpc.aio.AioRpcError):
            await rest_of(call)
        await them.until_metrics(lambda metrics: metrics[("inference_gateway_worker_restarts_total",)] == 1)
        await them.until_ready()
        await rest_of(await them.generate(tokens=3))
        await them.until_metrics(lambda metrics: metrics[finished] == 2)
        assert them.worker().pid != worker.pid


async def test_a_killed_control_leaves_no_worker(tmp_path: Path) -> None:
    async with replica(tmp_path) as first, gateway(tmp_path, "--replica", first.address, "--grace-s", "1") as them:
        await them.until_ready()
        worker = them.worker()
        them.program.signal(signal.SIGKILL)
        await them.program.exit_code()
        gone, _ = await asyncio.to_thread(psutil.wait_procs, [worker], 30)
        assert gone == [worker]


async def test_a_frozen_replica_is_noticed_and_found_again(tmp_path: Path) -> None:
    settings = tmp_path / "gateway.yaml"
    settings.write_text("probe: {keepalive_interval_s: 0.5, keepalive_timeout_s: 0.5}")
    async with (
        replica(tmp_path) as first,
        gateway(tmp_path, "--replica", first.address, "--config", str(settings)) as them,
    ):
        await them.until_ready()
        state = "inference_gateway_replica_state", first.address
        first.signal(signal.SIGSTOP)
        await them.until_metrics(lambda metrics: metrics[*state, "suspect"])
        first.signal(signal.SIGCONT)
        await them.until_metrics(lambda metrics: metrics[*state, "ready"])
        shown = re.findall(r"event=replica_state state=ready .*incarnation=(\d+)", them.program.log)
        assert shown == ["1", "1"]


async def test_a_replica_that_is_replaced_is_another_incarnation(tmp_path: Path) -> None:
    async with replica(tmp_path) as first, gateway(tmp_path, "--replica", first.address) as them:
        await them.until_ready()
        first.signal(signal.SIGKILL)
        await first.exit_code()
        await them.until_metrics(lambda metrics: metrics["inference_gateway_replica_state", first.address, "suspect"])
        async with running(replica_arguments(first.address), tmp_path / "second.log"):
            await them.until_ready()
            await rest_of(await them.generate(tokens=3))
            assert re.findall(r"state=ready .*incarnation=(\d+)", them.program.log) == ["1", "2"]


async def test_settings_that_cannot_be_used_are_told_in_one_line(tmp_path: Path) -> None:
    settings = tmp_path / "gateway.yaml"
    settings.write_text("limits:\n  request_bites: 3\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        for arguments, complaint in [
            (
                ["--config", str(settings)],
                f"{settings}:2: limits.request_bites: unknown setting; did you mean request_",
            ),
            (["--listen", address], f"listen: cannot listen on {address}: the port is in use"),
            (["--listen", "127.0.0.1:0", "--metrics-listen", address], f"metrics_listen: cannot listen on {address}"),
            (["--policy", "rondom"], "command line: policy: 'rondom' is none of"),
        ]:
            program = await start(["serve", *arguments], tmp_path / "gateway.log")
            out, _ = await program.process.communicate()
            assert (program.process.returncode, out) == (2, b"")
            (line,) = program.log.splitlines()
            assert line.startswith(f"inference-gateway serve: {complaint}")
