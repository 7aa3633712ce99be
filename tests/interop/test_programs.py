"""Programs as agents' authors write them, and buf curl, which asks the gateway itself for the contract."""

import json
import subprocess
import sys
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from google.rpc import error_details_pb2

from benchmarks.cluster import Cluster
from gateway.rpc.status import Code
from tests.end_to_end.observe import samples, total, until
from tests.interop.expected import answer_to
from tests.interop.speaking import HERE, NODE, ROOT

pytestmark = pytest.mark.interop

PROMPT = "Grüße an 東京 🙂: "
TIMEOUT_S = 60
PROGRAMS = {
    "grpcio": (sys.executable, "programs/generate.py"),
    "grpc.aio": (sys.executable, "programs/generate_aio.py"),
    "grpc-js": (NODE, "node/generate.js"),
}
BUF = Path(sys.executable).with_name("buf")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_streams_a_prompt(program: str, cluster: Cluster) -> None:
    interpreter, file = PROGRAMS[program]
    ended = run([interpreter, str(HERE / file), cluster.address, PROMPT])
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == answer_to(PROMPT, 100).text


def test_buf_lists_the_methods(cluster: Cluster) -> None:
    ended = run([str(BUF), "curl", "--protocol", "grpc", "--list-methods", f"http://{cluster.address}"])
    assert ended.returncode == 0, ended.stderr
    assert set(ended.stdout.split()) >= {
        "inference.v1.Inference/Generate",
        "inference.v1.Inference/Chat",
        "grpc.health.v1.Health/Check",
        "xds.service.orca.v3.OpenRcaService/StreamCoreMetrics",
    }


def test_buf_streams_a_prompt(cluster: Cluster) -> None:
    ended = run(curl(cluster, "Generate", generate_request(PROMPT, 100)))
    assert ended.returncode == 0, ended.stderr
    responses = documents(ended.stdout)
    expected = answer_to(PROMPT, 100)
    assert [int(response.get("sequence", 0)) for response in responses] == list(range(len(responses)))
    assert [token_id for response in responses for token_id in response.get("tokenIds", [])] == expected.token_ids
    assert "".join(response.get("text", "") for response in responses) == expected.text
    assert responses[-1]["finishReason"] == "FINISH_REASON_LENGTH"


def test_buf_calls_a_unary_method(cluster: Cluster) -> None:
    ended = run(curl(cluster, "ListModels", {}))
    assert ended.returncode == 0, ended.stderr
    [response] = documents(ended.stdout)
    assert response["models"][0]["name"] == "simulated"


def test_buf_shows_what_is_wrong(cluster: Cluster) -> None:
    ended = run(curl(cluster, "Generate", {"model": "größer", "text": "hi"}))
    assert ended.returncode == Code.NOT_FOUND << 3
    error = json.loads(ended.stderr)
    assert error["code"] == "not_found"
    assert "größer" in error["message"]
    [detail] = error["details"]
    assert detail["type"] == "google.rpc.ErrorInfo"
    info = error_details_pb2.ErrorInfo.FromString(b64decode(detail["value"] + "=="))
    assert info.reason == "MODEL_NOT_FOUND"


async def test_a_killed_buf_leaves_nothing_running(cluster: Cluster) -> None:
    run_to_first_line(curl(cluster, "Generate", generate_request(PROMPT, 100_000)))
    await until(lambda: total(samples(cluster), "inference_gateway_requests_in_flight") == 0)


def generate_request(prompt: str, tokens: int) -> Any:
    return {"text": prompt, "sampling": {"max_tokens": tokens, "ignore_eos": True}}


def curl(cluster: Cluster, method: str, request: Any) -> list[str]:
    url = f"http://{cluster.address}/inference.v1.Inference/{method}"
    return [str(BUF), "curl", "--protocol", "grpc", "--data", json.dumps(request), url]


def run(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, check=False, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=TIMEOUT_S
    )


def run_to_first_line(command: Sequence[str]) -> None:
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as popen:
        assert popen.stdout is not None
        assert popen.stdout.readline()
        popen.kill()


def documents(text: str) -> list[Any]:
    """Return JSON documents that follow each other."""
    decoder, found, position = json.JSONDecoder(), list[Any](), 0
    while text[position:].strip():
        position += len(text[position:]) - len(text[position:].lstrip())
        document, position = decoder.raw_decode(text, position)
        found.append(document)
    return found
