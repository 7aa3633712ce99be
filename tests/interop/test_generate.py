"""Agents on other stacks get from the gateway exactly what the engine says."""

from collections.abc import Mapping

import pytest

from benchmarks.cluster import Cluster
from gateway.rpc.status import Code
from inference.v1 import inference_pb2 as pb
from tests.end_to_end.observe import loads, samples, total, until
from tests.interop.expected import answer_to
from tests.interop.fronts import FRONTS
from tests.interop.python.calls import Call, Result
from tests.interop.speaking import COMPRESSIONS, At

pytestmark = pytest.mark.interop

GENERATE = "inference.v1.Inference/Generate"
CHAT = "inference.v1.Inference/Chat"
PROMPT = "Grüße an 東京 🙂: "
LONG_TOKENS = 50_000
DIRECT = "direct"


@pytest.fixture(params=[DIRECT, *FRONTS])
def path(request: pytest.FixtureRequest, cluster: Cluster, fronts: Mapping[str, str | None]) -> str:
    if request.param == DIRECT:
        return cluster.address
    address = fronts[request.param]
    return address or pytest.skip(f"{request.param} is not installed")


def request(prompt: str | list[int] = PROMPT, max_tokens: int = 200, n: int = 1) -> pb.GenerateRequest:
    sampling = pb.SamplingParameters(max_tokens=max_tokens, ignore_eos=True, n=n)
    if isinstance(prompt, str):
        return pb.GenerateRequest(text=prompt, sampling=sampling)
    return pb.GenerateRequest(token_ids=pb.TokenIds(ids=prompt), sampling=sampling)


def assert_whole(result: Result, prompt: str | list[int], max_tokens: int, n: int = 1) -> None:
    """Every token of every choice, once and in order, and nothing but OK at the end."""
    assert Code(result.code) is Code.OK, result.message
    assert [response.sequence for response in result.responses] == list(range(len(result.responses)))
    for index in range(n):
        of_choice = [response for response in result.responses if response.index == index]
        expected = answer_to(prompt, max_tokens, index)
        assert [token_id for response in of_choice for token_id in response.token_ids] == expected.token_ids
        assert "".join(response.text for response in of_choice) == expected.text
        assert of_choice[-1].finish_reason == pb.FINISH_REASON_LENGTH
    assert result.responses[-1].usage.completion_tokens == n * max_tokens


async def assert_idle(cluster: Cluster) -> None:
    """Nothing is in flight in the gateway, and nothing runs in any engine."""
    await until(lambda: total(samples(cluster), "inference_gateway_requests_in_flight") == 0)
    await until(lambda: all(load.running_requests + load.queue_depth == 0 for load in loads(cluster)))
    assert total(samples(cluster), "inference_gateway_lease_audit") == 0


def test_streams_every_token_in_order(inference: At) -> None:
    assert_whole(inference.call(Call(GENERATE, [request()])), PROMPT, 200)


def test_streams_several_choices(inference: At) -> None:
    assert_whole(inference.call(Call(GENERATE, [request(n=3)])), PROMPT, 200, n=3)


def test_fifty_streams_at_once_do_not_mix(inference: At) -> None:
    prompts = [f"conversation {number}: " for number in range(50)]
    results = inference.call_all([Call(GENERATE, [request(prompt, 100)]) for prompt in prompts])
    for prompt, result in zip(prompts, results, strict=True):
        assert_whole(result, prompt, 100)


@pytest.mark.parametrize("path", [DIRECT], indirect=True)
def test_takes_prompts_of_a_hundred_thousand_tokens(inference: At) -> None:
    prompt = list(range(1_000, 101_000))
    result = inference.call(Call(GENERATE, [request(prompt, 20)]))
    assert_whole(result, prompt, 20)
    assert result.responses[0].usage.prompt_tokens == 100_000


def test_takes_large_texts_however_they_are_compressed(inference: At) -> None:
    prompt = PROMPT * 10_000
    for compression in ("", *COMPRESSIONS[inference.name]):
        result = inference.call(Call(GENERATE, [request(prompt, 20)], compression=compression))
        assert_whole(result, prompt, 20)


def test_keeps_the_load_report_from_agents(inference: At) -> None:
    result = inference.call(Call(GENERATE, [request()]))
    assert result.trailer("endpoint-load-metrics-bin") is None


@pytest.mark.parametrize("responses", [0, 1, 25])
async def test_a_cancelled_stream_ends_in_the_engine(inference: At, cluster: Cluster, responses: int) -> None:
    result = inference.call(Call(GENERATE, [request(max_tokens=LONG_TOKENS)], cancel_after=responses))
    assert Code(result.code) is Code.CANCELLED
    assert len(result.responses) >= responses
    await assert_idle(cluster)
    assert_whole(inference.call(Call(GENERATE, [request()])), PROMPT, 200)


async def test_a_stream_ends_in_the_engine_with_its_deadline(inference: At, cluster: Cluster) -> None:
    result = inference.call(Call(GENERATE, [request(max_tokens=LONG_TOKENS)], timeout_s=0.5))
    assert Code(result.code) is Code.DEADLINE_EXCEEDED
    assert result.responses
    await assert_idle(cluster)
