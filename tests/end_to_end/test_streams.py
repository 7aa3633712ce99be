"""Tokens through real processes: all of them, once each, in order, and nothing left of those that nobody wants."""

import asyncio
import itertools
import random

import grpc
import grpc.aio
import pytest

from benchmarks.cluster import Cluster
from inference.v1 import inference_pb2 as pb
from inference.v1.inference_pb2_grpc import InferenceStub
from tests.end_to_end.observe import loads, samples, total, until

pytestmark = pytest.mark.e2e


def request(number: int, tokens: int) -> pb.GenerateRequest:
    sampling = pb.SamplingParameters(max_tokens=tokens, ignore_eos=True)
    return pb.GenerateRequest(text=f"conversation {number}", model="m", sampling=sampling)


async def stream(channel: grpc.aio.Channel, asked: pb.GenerateRequest) -> list[pb.GenerateResponse]:
    return [response async for response in InferenceStub(channel).Generate(asked)]


async def test_two_hundred_streams_arrive_whole_and_in_order(cluster: Cluster) -> None:
    async with grpc.aio.insecure_channel(cluster.address) as channel:
        streams = await asyncio.gather(*(stream(channel, request(number, 500)) for number in range(200)))
    for responses in streams:
        assert [response.sequence for response in responses] == list(range(len(responses)))
        assert sum(len(response.token_ids) for response in responses) == 500
        assert responses[-1].finish_reason == pb.FINISH_REASON_LENGTH
        assert responses[-1].usage.completion_tokens == 500
    async with grpc.aio.insecure_channel(cluster.members[0].address) as direct:
        for number in (0, 99, 199):
            alone = await stream(direct, request(number, 500))
            assert _tokens(streams[number]) == _tokens(alone)
            assert _text(streams[number]) == _text(alone)
    await until(lambda: total(samples(cluster), "inference_gateway_requests_in_flight") == 0)
    found = samples(cluster)
    assert total(found, "inference_gateway_requests_total", status="OK") == 200
    assert total(found, "inference_gateway_lease_audit") == 0
    served = [total(found, "inference_gateway_requests_total", replica=member.name) for member in cluster.members]
    # It compares what is in flight: one that is slow for a moment, on a machine that others use too, gets fewer.
    assert min(served) >= 200 / len(served) / 2, served


async def test_a_thousand_cancelled_streams_leave_nothing_behind(cluster: Cluster) -> None:
    rng = random.Random(7)
    async with grpc.aio.insecure_channel(cluster.address) as channel:
        await stream(channel, request(0, 5))
        before = samples(cluster)

        async def give_up(number: int) -> None:
            call = InferenceStub(channel).Generate(request(number, 400))
            try:
                for _ in range(rng.choice((0, 0, 1, 3, 20))):
                    await call.read()
                await asyncio.sleep(rng.random() * 0.05)
            finally:
                call.cancel()

        for batch in range(10):
            await asyncio.gather(*(give_up(batch * 100 + number) for number in range(100)))
        await until(lambda: total(samples(cluster), "inference_gateway_streams_open") == 0)
        after = samples(cluster)
    assert total(after, "inference_gateway_requests_in_flight") == 0
    assert total(after, "inference_gateway_lease_audit") == 0
    assert total(after, "inference_gateway_request_bytes_held") == 0
    descriptors = "inference_gateway_process_open_descriptors"
    assert total(after, descriptors, process="worker-0") <= total(before, descriptors, process="worker-0") + 1
    await until(lambda: all(load.running_requests + load.queue_depth == 0 for load in loads(cluster)))


async def test_a_replica_that_is_killed_is_told_at_once_and_used_again_when_it_is_back(cluster: Cluster) -> None:
    # So that each of them gets three of nine.
    await until(lambda: total(samples(cluster), "inference_gateway_requests_in_flight") == 0)
    await until(lambda: all(_is_ready(cluster, member.name) for member in cluster.members))
    async with grpc.aio.insecure_channel(cluster.address) as channel:
        calls = [InferenceStub(channel).Generate(request(number, 50_000)) for number in range(9)]
        for call in calls:
            await call.read()
        victim = cluster.members[0]
        victim.process.kill()
        outcomes = [asyncio.create_task(_outcome(call)) for call in calls]
        failed = [await outcome for outcome in itertools.islice(asyncio.as_completed(outcomes, timeout=10), 3)]
        assert failed == ["UNAVAILABLE"] * 3
        # Later requests go elsewhere, without one failure, and those on other replicas have not noticed.
        later = await asyncio.gather(*(stream(channel, request(number, 10)) for number in range(20)))
        assert all(later)
        assert sum(outcome.done() for outcome in outcomes) == 3
        for call in calls:
            call.cancel()
        await asyncio.gather(*outcomes, return_exceptions=True)
        cluster.restart(victim)
        await until(lambda: _is_ready(cluster, victim.name), 30)
        served = total(samples(cluster), "inference_gateway_requests_total", replica=victim.name)
        await asyncio.gather(*(stream(channel, request(number, 10)) for number in range(20)))
        assert total(samples(cluster), "inference_gateway_requests_total", replica=victim.name) > served


def _is_ready(cluster: Cluster, replica: str) -> bool:
    found = samples(cluster)
    up = total(found, "inference_gateway_replica_connections_open", replica=replica)
    return bool(up) and total(found, "inference_gateway_replica_state", replica=replica, state="ready") == 1


async def _outcome(call: "grpc.aio.UnaryStreamCall[pb.GenerateRequest, pb.GenerateResponse]") -> str:
    """How the stream ended; UNAVAILABLE counts only where it says when to come back."""
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        has_pushback = "grpc-retry-pushback-ms" in dict(error.trailing_metadata())
        return error.code().name if has_pushback else "without pushback"
    return "OK"


def _tokens(responses: list[pb.GenerateResponse]) -> list[int]:
    return [token for response in responses for token in response.token_ids]


def _text(responses: list[pb.GenerateResponse]) -> str:
    return "".join(response.text for response in responses)
