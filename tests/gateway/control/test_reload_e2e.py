"""Settings that change while streams run, in real processes."""

import asyncio
import re
import signal
from pathlib import Path

import grpc.aio
import pytest

from inference.v1 import inference_pb2 as pb
from tests.gateway.control.test_app_e2e import Gateway, gateway, replica, rest_of

pytestmark = pytest.mark.e2e

STREAMS = 100
TOKENS = 800


def write(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


async def tokens_of(them: Gateway) -> int:
    """Return how many tokens came of one whole stream. Raises AioRpcError."""
    sampling = pb.SamplingParameters(max_tokens=TOKENS, ignore_eos=True)
    call = them.inference.Generate(pb.GenerateRequest(model="m", text="Once", sampling=sampling))
    return sum([len(response.token_ids) async for response in call])


async def until_logged(them: Gateway, pattern: str) -> None:
    async with asyncio.timeout(60):
        while not re.search(pattern, them.program.log):
            await asyncio.sleep(0.05)


async def test_no_stream_is_dropped_while_policy_routes_limits_and_fleet_change(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    async with replica(tmp_path, "--speedup", "0.5") as first, replica(tmp_path, "--speedup", "0.5") as second:
        one = f"replicas: [{{address: '{first.address}'}}]\n"
        both = f"replicas: [{{address: '{first.address}'}}, {{address: '{second.address}', labels: {{gpu: a10}}}}]\n"
        write(file, one)
        async with gateway(tmp_path, "--config", str(file), "--workers", "2") as them:
            await them.until_ready()
            ends = [asyncio.ensure_future(tokens_of(them)) for _ in range(STREAMS)]
            held = "inference_gateway_requests_in_flight", first.address
            await them.until_metrics(lambda metrics: metrics.get(held) == STREAMS)
            write(
                file, f"{both}policy: round_robin\nlimits: {{request_bytes: 1000}}\naliases: {{chat: {{model: m}}}}\n"
            )
            await until_logged(them, "event=settings_changed settings=replicas,policy,aliases,limits")
            write(file, f"{both}routes: [{{name: a10, labels: {{gpu: a10}}, policy: random}}]\npolicy: power_of_two\n")
            await until_logged(them, "event=settings_changed settings=policy,routes,aliases,limits")
            write(file, "replicas: []\n")
            await until_logged(them, "event=settings_changed settings=replicas,policy,routes")
            assert not any(end.done() for end in ends)
            write(file, both)
            assert await asyncio.gather(*ends) == [TOKENS] * STREAMS
            await them.until_metrics(lambda metrics: metrics[("inference_gateway_lease_audit",)] == 0)
            applied = "inference_gateway_settings_changes_total", "applied"
            await them.until_metrics(lambda metrics: metrics[applied] == 4)
            metrics = await them.metrics()
            finished = "inference_gateway_requests_total", "inference.v1.Inference/Generate", first.address, "OK"
            assert metrics[finished] == STREAMS


async def test_a_typo_is_refused_whole_and_the_gateway_goes_on_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    async with replica(tmp_path) as first:
        good = f"replicas: [{{address: '{first.address}'}}]\n"
        write(file, good)
        async with gateway(tmp_path, "--config", str(file)) as them:
            await them.until_ready()
            write(file, f"{good}polcy: random\naliases: {{chat: {{model: m}}}}\n")
            them.program.signal(signal.SIGHUP)
            await until_logged(
                them, r"settings_refused reason=\"\S+gateway.yaml:2: polcy: unknown setting; did you mean pol"
            )
            refused = ("inference_gateway_settings_refused",)
            await them.until_metrics(lambda metrics: metrics[refused] == 1)
            await rest_of(await them.generate(3))
            with pytest.raises(grpc.aio.AioRpcError, match="no replica serves the model 'chat'"):
                await them.inference.Generate(pb.GenerateRequest(model="chat", text="Once")).read()
            write(file, f"{good}connect: {{timeout_s: 9}}\naliases: {{chat: {{model: m}}}}\n")
            them.program.signal(signal.SIGHUP)
            await until_logged(them, "cannot change while the gateway runs: connect")
            write(file, f"{good}aliases: {{chat: {{model: m}}}}\n")
            them.program.signal(signal.SIGHUP)
            await them.until_metrics(lambda metrics: metrics[refused] == 0)
            call = them.inference.Generate(
                pb.GenerateRequest(model="chat", text="Once", sampling=pb.SamplingParameters(max_tokens=3))
            )
            assert isinstance(await call.read(), pb.GenerateResponse)
