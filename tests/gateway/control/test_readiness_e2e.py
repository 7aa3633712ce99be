"""Replicas that freeze, lie, take long and are replaced, as agents of a real gateway meet them."""

import asyncio
import signal
from pathlib import Path

import grpc
import grpc.aio
import pytest

from inference.v1 import inference_pb2 as pb
from tests.gateway.control.processes import replica_arguments, running
from tests.gateway.control.replica import running_replica
from tests.gateway.control.test_app_e2e import Gateway, gateway, replica, rest_of

pytestmark = pytest.mark.e2e

STATE = "inference_gateway_replica_state"


async def until_state(them: Gateway, address: str, state: str) -> None:
    await them.until_metrics(lambda metrics: metrics.get((STATE, address, state)) == 1)


async def outcome(them: Gateway) -> grpc.StatusCode:
    return await end_of(
        them.inference.Generate(
            pb.GenerateRequest(model="m", text="Once", sampling=pb.SamplingParameters(max_tokens=2))
        )
    )


async def end_of(call: "grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateResponse]") -> grpc.StatusCode:
    try:
        await rest_of(call)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_streams_of_a_frozen_replica_end_and_others_take_its_requests(tmp_path: Path) -> None:
    async with (
        replica(tmp_path, "--speedup", "0.1") as first,
        running(replica_arguments(), tmp_path / "second.log") as second,
        gateway(tmp_path, "--replica", first.address, "--replica", second.address, "--policy", "round_robin") as them,
    ):
        await until_state(them, first.address, "ready")
        await until_state(them, second.address, "ready")
        calls = [await them.generate(tokens=100) for _ in range(2)]
        first.signal(signal.SIGSTOP)
        await until_state(them, first.address, "suspect")
        ends = sorted(await asyncio.gather(*map(end_of, calls)), key=str)
        assert ends == [grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE], "a stream of the frozen one does not hang"
        assert [await outcome(them) for _ in range(4)] == [grpc.StatusCode.OK] * 4
        assert (await them.metrics())[("inference_gateway_lease_audit",)] == 0


async def test_one_that_says_serving_but_fails_is_out_after_five_and_its_successor_starts_afresh(
    tmp_path: Path,
) -> None:
    async with running_replica() as liar, replica(tmp_path) as honest:
        address = f"127.0.0.1:{liar.port}"
        arguments = ("--replica", address, "--replica", honest.address, "--policy", "round_robin")
        async with gateway(tmp_path, *arguments) as them:
            await until_state(them, address, "ready")
            await until_state(them, honest.address, "ready")
            liar.failure = grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (await asyncio.gather(*(outcome(them) for _ in range(12)))).count(liar.failure) == 6
            liar.failure = grpc.StatusCode.INTERNAL
            for _ in range(10):
                await outcome(them)
            await until_state(them, address, "ejected")
            failed = liar.generated
            assert failed == 6 + 5
            assert [await outcome(them) for _ in range(6)] == [grpc.StatusCode.OK] * 6
            assert liar.generated == failed
            await liar.stop()
            liar.boot_id, liar.failure = 8, None
            await liar.start(liar.port)
            await until_state(them, address, "ready")
            assert "state=starting" in them.program.log


async def test_a_long_prefill_is_no_failure_and_silence_without_a_reason_is(tmp_path: Path) -> None:
    settings = tmp_path / "gateway.yaml"
    prompt = pb.TokenIds(ids=range(1, 20_001))
    for per_token_s, states in [(0.01, set[str]()), (0.0, {"suspect"})]:
        settings.write_text(f"health: {{stall_s: 0.5, stall_per_token_s: {per_token_s}, suspect_s: 600}}")
        # At this speed the prompt takes some four seconds.
        async with (
            replica(tmp_path, "--speedup", "0.1") as slow,
            gateway(tmp_path, "--replica", slow.address, "--config", str(settings)) as them,
        ):
            await until_state(them, slow.address, "ready")
            call = them.inference.Generate(
                pb.GenerateRequest(model="m", token_ids=prompt, sampling=pb.SamplingParameters(max_tokens=3))
            )
            assert await rest_of(call) > 0
            await until_state(them, slow.address, "ready")
            assert {state for state in ("suspect", "ejected") if f"state={state}" in them.program.log} == states
