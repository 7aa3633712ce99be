"""A gateway whose replicas are gateways: what those say of themselves decides where it sends."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc.aio
import pytest

from inference.v1 import admin_pb2, admin_pb2_grpc
from inference.v1 import inference_pb2 as pb
from tests.gateway.control.processes import Program, replica_arguments, running
from tests.gateway.control.test_app_e2e import Gateway, gateway

pytestmark = pytest.mark.e2e

Stream = grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateResponse]


class Gateways:
    """One in front of two others. Their replicas run one request at a time, each for longer than a test."""

    def __init__(self, outer: Gateway, one: Gateway, other: Gateway, admin: grpc.aio.Channel) -> None:
        self.outer, self.one, self.other = outer, one, other
        self._admin = admin_pb2_grpc.AdminStub(admin)

    def begin(self, to: Gateway) -> Stream:
        sampling = pb.SamplingParameters(max_tokens=2_000, ignore_eos=True)
        return to.inference.Generate(pb.GenerateRequest(model="m", text="Once", sampling=sampling))

    async def until_known(self, condition: Callable[[admin_pb2.Replica, admin_pb2.Replica], bool]) -> None:
        """Return when the condition holds for what the outer one knows of the two."""
        async with asyncio.timeout(120):
            while not condition(*await self._known()):
                await asyncio.sleep(0.05)

    async def until_compared(self, one: float, other: float) -> None:
        """Return when the outer one's policy would compare the two by these loads: its worker learns of a report a
        moment after control."""
        request = admin_pb2.ExplainRequest(generate=pb.GenerateRequest(model="m", text="Once"))
        async with asyncio.timeout(120):
            while True:
                response = await self._admin.Explain(request)
                loads = {each.id: round(each.load, 2) for each in response.considered}
                if loads == {self.one.program.address: one, self.other.program.address: other}:
                    return
                await asyncio.sleep(0.05)

    async def until_in_flight(self, one: int, other: int) -> None:
        expected = one, other
        await self.until_known(lambda one, other: (one.requests_in_flight, other.requests_in_flight) == expected)

    async def change_policy(self, policy: str) -> None:
        await self._admin.SetPolicy(admin_pb2.SetPolicyRequest(policy=policy))

    async def _known(self) -> tuple[admin_pb2.Replica, admin_pb2.Replica]:
        response = await self._admin.ListReplicas(admin_pb2.ListReplicasRequest())
        known: Mapping[str, admin_pb2.Replica] = {replica.id: replica for replica in response.replicas}
        return known[self.one.program.address], known[self.other.program.address]


@asynccontextmanager
async def gateways(tmp_path: Path, policy: str, *sizes: int) -> AsyncGenerator[Gateways, None]:
    """`sizes`: how many replicas each of the two has."""
    settings = tmp_path / "outer.yaml"
    settings.write_text("{health: {slow_start_s: 0}}")
    async with AsyncExitStack() as stack:

        async def started(name: str, replicas: list[Program], *more: str) -> Gateway:
            (tmp_path / name).mkdir()
            named = [argument for each in replicas for argument in ("--replica", each.address)]
            return await stack.enter_async_context(gateway(tmp_path / name, *named, *more))

        slow = replica_arguments("127.0.0.1:0", "--max-num-seqs", "1", "--speedup", "0.03")
        inner: list[Gateway] = []
        for number, size in enumerate(sizes):
            logs = [tmp_path / f"replica-{number}-{each}.log" for each in range(size)]
            replicas = [await stack.enter_async_context(running(slow, log)) for log in logs]
            inner.append(await started(f"inner-{number}", replicas))
        for them in inner:
            await them.until_ready()
        more = ("--policy", policy, "--config", str(settings))
        outer = await started("outer", [them.program for them in inner], *more)
        admin = await stack.enter_async_context(grpc.aio.insecure_channel(f"unix:{outer.admin}"))
        yield Gateways(outer, inner[0], inner[1], admin)


async def test_requests_go_where_least_is_to_be_done_whoever_asked_for_it(tmp_path: Path) -> None:
    async with gateways(tmp_path, "queue_depth", 2, 1) as them:
        # Of a gateway with two replicas each counts.
        await them.until_known(lambda one, other: (one.weight, other.weight) == (2, 1))
        others = [them.begin(them.one) for _ in range(8)]
        await them.until_compared(6 / 2, 0)
        streams = [them.begin(them.outer) for _ in range(3)]
        await them.until_in_flight(0, 3)
        # One runs, and two that wait are all there is to add: they do not count as sent since the report as well.
        await them.until_compared(6 / 2, 2)
        streams.append(them.begin(them.outer))
        await them.until_in_flight(0, 4)
        for stream in others:
            stream.cancel()
        await them.until_compared(0, 3)
        streams.append(them.begin(them.outer))
        await them.until_in_flight(1, 4)
        for stream in streams:
            stream.cancel()
        await them.until_in_flight(0, 0)
        await them.change_policy("least_work")
        streams = [them.begin(them.outer) for _ in range(6)]
        await them.until_in_flight(4, 2)
        for stream in streams:
            stream.cancel()
        await them.until_in_flight(0, 0)
        for each in (them.outer, them.one, them.other):
            assert (await each.metrics())[("inference_gateway_lease_audit",)] == 0


@asynccontextmanager
async def failing_replica() -> AsyncGenerator[str, None]:
    """Yield the address of a server that answers everything UNKNOWN, after a moment."""

    async def fail(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        await asyncio.sleep(0.02)
        await context.abort(grpc.StatusCode.UNKNOWN, "on purpose")

    method: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(fail)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Opaque", {"Fail": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def test_the_only_replica_is_used_while_it_is_ejected_and_on_trial_behind_a_gateway_too(tmp_path: Path) -> None:
    settings = tmp_path / "gateway.yaml"
    settings.write_text("{opaque_services: [test.Opaque], health: {ejection_s: 0.1, ejection_max_s: 0.1}}")
    for name in ("inner", "outer"):
        (tmp_path / name).mkdir()
    more = ("--config", str(settings))
    async with (
        failing_replica() as address,
        gateway(tmp_path / "inner", "--replica", address, *more) as inner,
        gateway(tmp_path / "outer", "--replica", inner.program.address, *more) as outer,
    ):
        await outer.until_ready()
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = outer.channel.unary_unary("/test.Opaque/Fail")
        async with asyncio.timeout(60):
            while min(each.program.log.count("state=probation") for each in (inner, outer)) < 3:
                answers = await asyncio.gather(*(call(b"") for _ in range(10)), return_exceptions=True)
                assert {str(getattr(answer, "details", str)()) for answer in answers} == {"on purpose"}
