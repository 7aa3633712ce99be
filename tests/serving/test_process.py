"""Replicas as real processes, and what signals do to them."""

import asyncio
import re
import signal
import socket
import subprocess
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import psutil
import pytest
from grpc import aio
from grpc_health.v1 import health_pb2

from benchmarks.processes import Process, Processes, inference_gateway
from gateway.rpc.orca import parse_report
from gateway.types import LoadReport
from inference.v1 import inference_pb2 as pb
from inference.v1.inference_pb2_grpc import InferenceStub
from tests.serving.test_watching import as_it_is

pytestmark = [pytest.mark.anyio, pytest.mark.e2e]

GRACE_S = 30.0
"""Long enough that a test which uses it up fails."""


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(tmp_path) as processes:
        yield processes


def start(processes: Processes, *flags: str) -> Process:
    command = ("replica", "--model", "m", "--listen", "127.0.0.1:0", "--metrics-listen", "none", *flags)
    return processes.start("replica", inference_gateway(*command))


@asynccontextmanager
async def channel_to(process: Process) -> AsyncGenerator[aio.Channel, None]:
    address = (await asyncio.to_thread(process.wait_for_line))[1]
    async with aio.insecure_channel(address) as channel:
        yield channel


def long_request(tokens: int) -> pb.GenerateRequest:
    return pb.GenerateRequest(text="hi", sampling=pb.SamplingParameters(max_tokens=tokens, ignore_eos=True))


def watch_health(channel: aio.Channel) -> aio.UnaryStreamCall[bytes, int]:
    def status(message: bytes) -> int:
        return health_pb2.HealthCheckResponse.FromString(message).status

    return channel.unary_stream("/grpc.health.v1.Health/Watch", as_it_is, status)(b"")


def watch_load(channel: aio.Channel) -> aio.UnaryStreamCall[bytes, LoadReport]:
    """Yield queue depth, running requests and so on."""

    def report(message: bytes) -> LoadReport:
        return parse_report(message, received_at=0.0)

    return channel.unary_stream("/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics", as_it_is, report)(b"")


async def ends(process: Process, within_s: float) -> int:
    return await asyncio.to_thread(process.wait, within_s)


async def test_says_where_it_listens_and_what_it_is(processes: Processes) -> None:
    process = start(processes, "--speedup", "2.5")
    line = await asyncio.to_thread(process.wait_for_line, re.compile(r"replica .*\n"))
    assert re.fullmatch(
        r"replica m listening on 127\.0\.0\.1:[1-9]\d* \(simulated, llama-3\.1-8b-h100, speedup 2\.5\)\n", line[0]
    )


async def test_a_stream_outlives_the_wish_to_stop(processes: Processes) -> None:
    process = start(processes, "--grace-s", str(GRACE_S), "--drain-pause-s", "0.2")
    async with channel_to(process) as channel:
        health = aiter(watch_health(channel))
        load = aiter(watch_load(channel))
        assert await anext(health) == health_pb2.HealthCheckResponse.SERVING
        await anext(load)
        stream = aiter(InferenceStub(channel).Generate(long_request(300)))
        messages = [await anext(stream)]
        process.signal(signal.SIGTERM)
        asked_at = time.monotonic()
        assert await anext(health) == health_pb2.HealthCheckResponse.NOT_SERVING
        assert time.monotonic() - asked_at < 0.1
        messages += [message async for message in stream]
        assert [message.sequence for message in messages] == list(range(len(messages)))
        assert sum(len(message.token_ids) for message in messages) == 300
        assert messages[-1].finish_reason == pb.FINISH_REASON_LENGTH
        assert await ends(process, within_s=GRACE_S / 3) == 0
        with pytest.raises(aio.AioRpcError) as ended:
            await anext(health)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_an_idle_replica_stops_although_it_is_watched(processes: Processes) -> None:
    process = start(processes, "--grace-s", str(GRACE_S), "--drain-pause-s", "0")
    async with channel_to(process) as channel:
        health = aiter(watch_health(channel))
        await anext(health)
        process.signal(signal.SIGINT)
        assert await ends(process, within_s=GRACE_S / 3) == 0


async def test_streams_longer_than_the_grace_are_cut_off(processes: Processes) -> None:
    process = start(processes, "--grace-s", "0.3")
    async with channel_to(process) as channel:
        stream = aiter(InferenceStub(channel).Generate(long_request(20_000)))
        await anext(stream)
        process.signal(signal.SIGTERM)
        with pytest.raises(aio.AioRpcError) as cut:
            [message async for message in stream]
        assert cut.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await ends(process, within_s=10) == 0


async def test_a_second_signal_does_not_wait(processes: Processes) -> None:
    process = start(processes, "--grace-s", str(GRACE_S), "--drain-pause-s", "0")
    async with channel_to(process) as channel:
        health = aiter(watch_health(channel))
        await anext(health)
        stream = aiter(InferenceStub(channel).Generate(long_request(20_000)))
        await anext(stream)
        process.signal(signal.SIGTERM)
        assert await anext(health) == health_pb2.HealthCheckResponse.NOT_SERVING
        process.signal(signal.SIGTERM)
        assert await ends(process, within_s=GRACE_S / 3) == 128 + signal.SIGTERM


async def test_cancelled_streams_leave_nothing_behind(processes: Processes) -> None:
    process = start(processes, "--speedup", "5")
    async with channel_to(process) as channel:
        stub = InferenceStub(channel)
        load = aiter(watch_load(channel))
        await anext(load)
        descriptors = psutil.Process(process.pid).num_fds()

        async def leave_after(messages: int) -> None:
            stream = stub.Generate(long_request(20_000))
            for _ in range(messages):
                await stream.read()
            stream.cancel()

        for _ in range(5):
            async with asyncio.TaskGroup() as group:
                for number in range(20):
                    group.create_task(leave_after(number % 7))
        while (last := await anext(load)).queue_depth or last.running_requests:
            pass
        assert psutil.Process(process.pid).num_fds() <= descriptors
    assert "Traceback" not in process.log.read_text()


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        (["--speedup", "fast"], "speedup: expected float, got str"),
        (["--speedup", "-1"], "speedup: expected float > 0.0"),
        (["--profile", "none"], "engine: profile: 'none' is none of llama-3.1-8b-h100, llama-3.1-8b-a100"),
        (["--grace"], "unrecognized arguments: --grace"),
        (["--engine", "none"], "engine: 'none' is none of simulated, vllm"),
        (["--engine-config", "/nowhere"], "/nowhere: No such file or directory"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_line(flags: list[str], line: str) -> None:
    command = inference_gateway(
        "replica", "--model", "m", "--listen", "127.0.0.1:0", "--metrics-listen", "none", *flags
    )
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", f"inference-gateway replica: {line}\n")


async def test_two_replicas_never_share_a_port(processes: Processes) -> None:
    address = (await asyncio.to_thread(start(processes).wait_for_line))[1]
    command = inference_gateway("replica", "--model", "m", "--listen", address, "--metrics-listen", "none")
    second = processes.start("second", command)
    assert await ends(second, within_s=30) == 2
    line = f"inference-gateway replica: listen: {address} cannot be had; does another process listen there?\n"
    assert second.log.read_text() == line


@pytest.mark.parametrize("flag", ["--listen", "--metrics-listen"])
def test_a_port_in_use_is_one_line(flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        flags = {"--model": "m", "--listen": "127.0.0.1:0", "--metrics-listen": "127.0.0.1:0", flag: address}
        command = inference_gateway("replica", *[word for pair in flags.items() for word in pair])
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert re.fullmatch(rf"inference-gateway replica: [a-z_]+: {address}[^\n]*\n", ran.stderr)
