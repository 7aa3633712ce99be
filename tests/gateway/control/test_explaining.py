import asyncio
import io
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpc.aio
import pytest
from rich.console import Console

from gateway.channel.messages import AskWhy, Why
from gateway.control.explain_cli import explain, headline, table
from gateway.control.explaining import explainer
from gateway.control.services import running_server
from gateway.types import Considered, Explanation
from inference.v1 import admin_pb2 as pb
from inference.v1 import admin_pb2_grpc, inference_pb2
from tests.gateway.control.test_app_e2e import gateway, replica

EXPLANATION = Explanation(
    "default",
    "least_work",
    True,
    "picked",
    "",
    "a:1",
    900,
    [
        Considered("a:1", 3, "ready", "picked", "least load", 0.0, None, 2, 300, 0.125, 640, 1.0),
        Considered("b:1", 1, "ejected", "no_candidate", "not ready: ejected", None, 1.5, 0, 0, 0.5, 0, 0.5),
    ],
)
REQUEST = pb.ExplainRequest(
    generate=inference_pb2.GenerateRequest(model="m", text="Once"),
    metadata={"X-Tier": "gold"},
    excluded_replica_ids=["b:1"],
)
NONE_LEFT = EXPLANATION._replace(considered=[])
STRANGER = pb.ExplainRequest(generate=REQUEST.generate, excluded_replica_ids=["b:1", "c:1"])


class Worker:
    def __init__(self, answer: Why | None) -> None:
        self.answer = answer
        self.questions: list[AskWhy] = []

    async def ask(self, question: AskWhy, timeout_s: float) -> Why | None:
        self.questions.append(question)
        return self.answer


@asynccontextmanager
async def admin_of(worker: Worker, path: Path) -> AsyncGenerator["admin_pb2_grpc.AdminAsyncStub", None]:
    target = f"unix:{path / 'a.sock'}"
    handler = explainer(worker.ask)
    async with running_server(target, [handler]), grpc.aio.insecure_channel(target) as channel:
        yield admin_pb2_grpc.AdminStub(channel)


async def test_a_worker_is_asked_and_its_answer_shown_whole(tmp_path: Path) -> None:
    worker = Worker(Why(1, EXPLANATION))
    async with admin_of(worker, tmp_path) as admin:
        response = await admin.Explain(REQUEST)
    asked = AskWhy(0, "/inference.v1.Inference/Generate", REQUEST.generate.SerializeToString(), [], ["b:1"])
    assert worker.questions[0].fields == [(b"x-tier", b"gold")]
    assert worker.questions[0].request == asked.request
    assert (worker.questions[0].path, worker.questions[0].excluded) == (asked.path, asked.excluded)
    picked, ejected = response.considered
    assert (response.route, response.policy, response.compares) == ("default", "least_work", True)
    assert (response.outcome, response.replica_id, response.prompt_tokens) == ("picked", "a:1", 900)
    assert (picked.load, picked.HasField("load"), picked.HasField("report_age_s")) == (0.0, True, False)
    assert (ejected.HasField("load"), ejected.report_age_s, ejected.weight) == (False, 1.5, 0.5)


@pytest.mark.parametrize(
    ("answer", "request_", "code", "words"),
    [
        (Why(1, None, "no such route"), REQUEST, grpc.StatusCode.INVALID_ARGUMENT, "no such route"),
        (Why(1, EXPLANATION), pb.ExplainRequest(), grpc.StatusCode.INVALID_ARGUMENT, "request: is missing"),
        (None, REQUEST, grpc.StatusCode.UNAVAILABLE, "no worker answers"),
        (Why(1, EXPLANATION), STRANGER, grpc.StatusCode.NOT_FOUND, "is called 'c:1'; there are: a:1, b:1"),
        (Why(1, NONE_LEFT), STRANGER, grpc.StatusCode.NOT_FOUND, "is called 'b:1'; there are: none"),
    ],
)
async def test_what_cannot_be_explained_is_said(
    answer: Why | None, request_: pb.ExplainRequest, code: grpc.StatusCode, words: str, tmp_path: Path
) -> None:
    async with admin_of(Worker(answer), tmp_path) as admin:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await admin.Explain(request_)
    assert raised.value.code() is code
    assert words in (raised.value.details() or "")


async def test_the_command_prints_a_row_for_each_replica(tmp_path: Path) -> None:
    async with admin_of(Worker(Why(1, EXPLANATION)), tmp_path) as admin:
        response = await admin.Explain(REQUEST)
    console = Console(file=io.StringIO(), width=140)
    console.print(headline(response), soft_wrap=True)
    console.print(table(response))
    assert isinstance(console.file, io.StringIO)
    first, *rows = [line.split() for line in console.file.getvalue().splitlines()]
    assert first == "route default, policy least_work, 900 prompt tokens: picked a:1".split()
    assert "a:1 picked: least load 0 0.125 2 300 640 1 -".split() in rows
    assert "b:1 no candidate: not ready: ejected - 0.500 0 0 0 0.5 1.5".split() in rows


@pytest.mark.parametrize("arguments", [["--prompt-file", "/nowhere/at/all"], ["--header", "tier"]])
def test_the_command_refuses_what_it_cannot_ask(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert explain(arguments) == 2
    assert arguments[1] in capsys.readouterr().err


@pytest.mark.e2e
async def test_an_operator_asks_a_running_gateway_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFERENCE_GATEWAY_SHADOW", "[random]")
    async with replica(tmp_path) as first, gateway(tmp_path, "--replica", first.address) as them:
        await them.until_ready()
        call = await them.generate(tokens=100_000)
        code = await asyncio.to_thread(
            explain, ["--admin", str(them.admin), "--model", "m", "--prompt", "x" * 4_000, "--json"]
        )
        said = json.loads(capsys.readouterr().out)
        assert code == 0
        (only,) = said["considered"]
        assert (said["outcome"], said["replicaId"], only["verdict"]) == ("picked", first.address, "picked")
        assert (said["policy"], only["requests"], said["promptTokens"]) == ("least_connection", 1, "1000")
        assert only["load"] * only["weight"] == pytest.approx(1)
        code = await asyncio.to_thread(explain, ["--admin", str(them.admin), "--model", "none"])
        assert code == 0
        assert "refused: no replica serves the model 'none'" in capsys.readouterr().out
        stranger = ["--admin", str(them.admin), "--model", "m", "--exclude", "nobody:1"]
        assert await asyncio.to_thread(explain, stranger) == 1
        assert f"no replica is called 'nobody:1'; there are: {first.address}" in capsys.readouterr().err
        call.cancel()
        names = {name for name, *_ in await them.metrics()}
        assert "inference_gateway_shadow_choices_total" in names
        assert "inference_gateway_shadow_seen_seconds_total" in names
