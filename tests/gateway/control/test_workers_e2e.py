"""`inference-gateway serve --workers N`: real workers, agents on connections of their own."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from pathlib import Path

import grpc
import grpc.aio
import psutil
import pytest

from gateway.http2 import frames
from inference.v1 import inference_pb2 as pb
from tests.gateway.control.processes import replica_arguments, running
from tests.gateway.control.test_app_e2e import GENERATE, Gateway, gateway, rest_of

pytestmark = pytest.mark.e2e

RESTARTS = ("inference_gateway_worker_restarts_total",)


class Crowd:
    """A gateway with several workers, and agents that share no connection."""

    def __init__(self, them: Gateway, agents: Sequence[Gateway]) -> None:
        self.gateway = them
        self.agents = agents

    def workers(self) -> list[psutil.Process]:
        """In order of their ids."""
        workers = psutil.Process(self.gateway.program.process.pid).children()
        return sorted(workers, key=lambda worker: worker.pid)

    async def begin(self, tokens: int) -> "list[grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateResponse]]":
        """Return a stream for each agent, all of which have begun."""
        return [await agent.generate(tokens) for agent in self.agents]

    async def until_shared(self, connections: int, workers: int) -> None:
        """Return when so many connections are known, and each worker has its share of them."""
        share = connections // workers
        await self.until(lambda: [self.connections(worker) for worker in self.workers()] == [share] * workers)

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.02)

    def connections(self, worker: psutil.Process) -> int:
        """How many agents' connections this worker has."""
        port = int(self.gateway.program.address.rpartition(":")[2])
        return sum(
            each.laddr.port == port and each.status == psutil.CONN_ESTABLISHED for each in worker.net_connections()
        )


@asynccontextmanager
async def crowd(
    tmp_path: Path, workers: int, agents: int, *arguments: str, replicas: int = 1, more: Mapping[str, object] = {}
) -> AsyncGenerator[Crowd, None]:
    """`more` settings."""
    settings = tmp_path / "gateway.yaml"
    # On a busy machine a worker may need long to start, and be silent for seconds.
    settings.write_text(json.dumps({"worker_silence_s": 4, **more}))
    async with AsyncExitStack() as stack:
        command = replica_arguments("127.0.0.1:0", "--speedup", "1")
        programs = [
            await stack.enter_async_context(running(command, tmp_path / f"replica-{number}.log"))
            for number in range(replicas)
        ]
        named = [argument for program in programs for argument in ("--replica", program.address)]
        them = await stack.enter_async_context(
            gateway(tmp_path, *named, "--workers", str(workers), "--config", str(settings), *arguments)
        )
        await them.until_ready()
        states = [("inference_gateway_replica_state", program.address, "ready") for program in programs]
        await them.until_metrics(lambda metrics: all(metrics.get(state) for state in states))
        channels = [
            await stack.enter_async_context(
                grpc.aio.insecure_channel(them.program.address, [("grpc.use_local_subchannel_pool", 1)])
            )
            for _ in range(agents)
        ]
        yield Crowd(them, [Gateway(them.program, channel, them.admin) for channel in channels])


async def test_idle_connections_are_shared_evenly_and_all_workers_are_one_gateway(tmp_path: Path) -> None:
    async with crowd(tmp_path, 4, 39, more={"limits": {"connections": 40}}) as them:
        for agent in them.agents:
            await agent.channel.channel_ready()
        # With the one that waited for the gateway to be ready.
        await them.until_shared(40, workers=4)
        await until_closed(them.gateway)
        calls = await them.begin(tokens=200)
        metrics = await them.gateway.metrics()
        assert 0 < in_flight(metrics) <= len(calls)
        assert metrics[("inference_gateway_agent_connections_open",)] == 40
        assert metrics["inference_gateway_limits_hit_total", "connections"] == 1
        assert {key[1] for key in metrics if key[0] == "inference_gateway_process_resident_bytes"} == {
            *("control", "worker-0", "worker-1", "worker-2", "worker-3")
        }
        for call in calls:
            await rest_of(call)
        metrics = await them.gateway.metrics()
        assert metrics[("inference_gateway_lease_audit",)] == 0
        (finished,) = [
            value
            for key, value in metrics.items()
            if key[:2] == ("inference_gateway_requests_total", GENERATE) and key[-1] == "OK"
        ]
        assert finished == 39
        route = "inference_gateway_route_"
        assert metrics[(route + "requests_total", "default", "OK")] == 39
        assert metrics[(route + "time_to_first_token_seconds_count", "default")] == 39
        assert metrics[(route + "tokens_total", "completion", "default")] == 39 * 200
        last = await them.begin(tokens=100)
        them.gateway.program.signal(signal.SIGTERM)
        assert {await ending(call) for call in last} == {"OK"}
        assert await them.gateway.program.exit_code() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_worker_that_crashes_or_freezes_is_replaced_while_the_others_serve(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with crowd(tmp_path, 2, 4) as them:
        calls = await them.begin(tokens=150)
        victim, survivor = them.workers()
        os.kill(victim.pid, number)
        ends = [await ending(call) for call in calls]
        assert set(ends) == {"OK", "UNAVAILABLE"}
        await them.gateway.until_metrics(lambda metrics: metrics[RESTARTS])
        assert survivor.is_running()
        assert not victim.is_running()
        # Agents connect again, and what was in flight in the dead one is in flight no more.
        assert [await ending(call) for call in await them.begin(tokens=3)] == ["OK"] * 4
        await them.gateway.until_metrics(lambda metrics: in_flight(metrics) == 0)
        assert (await them.gateway.metrics())[("inference_gateway_lease_audit",)] == 0


async def test_an_address_has_so_many_connections_over_all_workers_also_when_one_was_killed(tmp_path: Path) -> None:
    limits = {"connections_per_address": 4, "handshake_timeout_s": 600}
    async with crowd(tmp_path, 2, 0, more={"limits": limits}) as them:
        with closing(Visitors(them, "127.0.0.2")) as some, closing(Visitors(them, "127.0.0.3")) as others:
            assert [await some.come() for _ in range(5)] == [True] * 4 + [False]
            assert [some.count(worker) for worker in them.workers()] == [2, 2]
            assert await others.come()
            metrics = await them.gateway.metrics()
            assert metrics["inference_gateway_limits_hit_total", "connections_per_address"] == 1
            some.leave()
            await some.until_come()
            assert not await some.come()
            lost = some.count(victim := them.workers()[0])
            assert lost in (1, 2, 3)
            os.kill(victim.pid, signal.SIGKILL)
            for _ in range(lost):
                await some.until_come()
            assert not await some.come()
            # Nor once there are two workers again.
            await them.gateway.until_metrics(lambda metrics: metrics[RESTARTS])
            assert not await some.come()


async def test_agents_that_crowd_one_worker_spread_again_as_their_connections_grow_old(tmp_path: Path) -> None:
    aging = {"max_age_s": 1.0, "max_age_jitter": 0.5, "max_age_grace_s": 60}
    async with crowd(tmp_path, 2, 6, more={"agent_connections": aging}) as them:
        victim, survivor = them.workers()
        os.kill(victim.pid, signal.SIGKILL)
        await them.until(lambda: len(them.workers()) == 2 and victim not in them.workers())
        # Until all agents are at the other one.
        (newcomer,) = (worker for worker in them.workers() if worker != survivor)
        os.kill(newcomer.pid, signal.SIGSTOP)
        async with asyncio.TaskGroup() as tasks:
            is_over = asyncio.Event()
            asking = [tasks.create_task(ask_again_and_again(agent, is_over)) for agent in them.agents]
            await them.until(lambda: them.connections(survivor) == 6)
            assert them.connections(newcomer) == 0
            os.kill(newcomer.pid, signal.SIGCONT)
            await them.until(lambda: are_even(them.connections(survivor), them.connections(newcomer)))
            is_over.set()
        assert all(each.result() > 0 for each in asking)
        assert them.workers() == [survivor, newcomer]


async def test_a_prefix_that_one_worker_has_learnt_routes_requests_that_reach_the_other(tmp_path: Path) -> None:
    async with crowd(tmp_path, 2, 3, "--policy", "prefix_affinity", replicas=3) as them:
        for agent in them.agents:
            await agent.channel.channel_ready()
        # With the one that waited for the gateway to be ready two each: one of the others is not at the first's worker.
        await them.until_shared(4, workers=2)
        first, *others = them.agents
        prompts = [list(range(begin, begin + 640)) for begin in range(1, 6_000, 1_000)]
        for prompt in prompts:
            assert await cached_tokens(first, prompt) == 0
        blocks = 640 // 64 * len(prompts)
        await them.gateway.until_metrics(
            lambda metrics: metrics[("inference_gateway_prefix_index_blocks",)] == 2 * blocks
        )
        assert [await cached_tokens(agent, prompt) > 600 for agent in others for prompt in prompts] == [True] * 12


class Visitors:
    """Connections from one address, on which nothing is asked."""

    def __init__(self, them: Crowd, address: str) -> None:
        self._them = them
        self._address = address
        self._stay: list[asyncio.StreamWriter] = []

    async def come(self) -> bool:
        """Connect. Return whether the gateway answers; else it has closed the connection."""
        host, _, port = self._them.gateway.program.address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port), local_addr=(self._address, 0))
        self._stay.append(writer)
        writer.write(frames.PREFACE + frames.settings([]))
        async with asyncio.timeout(60):
            with suppress(ConnectionError):
                if await reader.read(1):
                    return True
        self.leave()
        return False

    async def until_come(self) -> None:
        """Return when one has."""
        async with asyncio.timeout(60):
            while not await self.come():
                await asyncio.sleep(0.02)

    def count(self, worker: psutil.Process) -> int:
        """How many this worker has."""
        return sum(each.raddr[:1] == (self._address,) for each in worker.net_connections())

    def leave(self) -> None:
        """Let the last who came go."""
        self._stay.pop().close()

    def close(self) -> None:
        while self._stay:
            self.leave()


async def until_closed(them: Gateway) -> None:
    """Connect, and return when the gateway has closed the connection."""
    host, _, port = them.program.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    async with asyncio.timeout(60):
        await reader.read()
    writer.close()


def are_even(first: int, second: int) -> bool:
    """Six connections; at this instant one of them may be between its end and the next."""
    return abs(first - second) <= 1 and first + second >= 5


async def ask_again_and_again(agent: Gateway, is_over: asyncio.Event) -> int:
    """Return how many streams there were, one at a time. Raises AioRpcError unless each ends OK."""
    count = 0
    while not is_over.is_set():
        await rest_of(await agent.generate(tokens=20))
        count += 1
    return count


async def cached_tokens(agent: Gateway, prompt: Sequence[int]) -> int:
    """Ask with this prompt; return how many tokens of it its replica had in its cache."""
    sampling = pb.SamplingParameters(max_tokens=1, ignore_eos=True)
    request = pb.GenerateRequest(model="m", token_ids=pb.TokenIds(ids=prompt), sampling=sampling)
    responses = [response async for response in agent.inference.Generate(request, timeout=60)]
    return responses[-1].usage.cached_tokens


def in_flight(metrics: Mapping[tuple[str, ...], float]) -> float:
    return sum(value for key, value in metrics.items() if key[0] == "inference_gateway_requests_in_flight")


async def ending(call: "grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateResponse]") -> str:
    """Return the status that the stream ended with."""
    try:
        await rest_of(call)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"
