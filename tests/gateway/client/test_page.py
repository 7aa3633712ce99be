"""The code of docs/client.md runs as it stands there."""

import ast
import inspect
import re
from pathlib import Path
from types import FunctionType
from typing import Any

import anyio.to_thread
import pytest

from gateway.errors import Failure, Reason
from inference.v1 import inference_pb2 as pb
from tests.gateway.client.fakes import Script, said, serving, words

PAGE = Path(__file__).parents[3] / "docs" / "client.md"
SNIPPETS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
STORY = Script(words("Once", " upon", " a", " time"))


def calls(name: str, arguments_json: str) -> list[pb.ChatResponse]:
    """One choice of Chat that is a tool call."""
    call = pb.ToolCallDelta(index=0, id="c0", name=name, arguments_json=arguments_json)
    return [
        pb.ChatResponse(tool_call=call),
        pb.ChatResponse(sequence=1, finish_reason=pb.FINISH_REASON_TOOL_CALLS),
    ]


SCRIPTS = [
    *[STORY, STORY, STORY],
    Script(calls("weather", '{"city": "Bonn"}')),
    Script(said("It is ", "sunny.")),
    Script(said("Knock ", "knock.")),
    STORY,
    Script(failure=Failure(Reason.MODEL_NOT_FOUND, "no such model")),
    Script(),
    Script(failure=Failure(Reason.NO_REPLICA_READY, "not ready", retry_after_s=0.001)),
    STORY,
]
"""What the snippets get, call by call."""


async def run(snippet: str, names: dict[str, Any]) -> None:
    code = compile(snippet, str(PAGE), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    function = FunctionType(code, names)
    if code.co_flags & inspect.CO_COROUTINE:
        await function()
    else:
        await anyio.to_thread.run_sync(function)


@pytest.fixture
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ca.pem").touch()
    monkeypatch.chdir(tmp_path)


async def test_the_page_tells_the_truth(working_directory: None, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"__name__": "page"}
    async with serving(*SCRIPTS) as server:
        for snippet in SNIPPETS:
            await run(snippet.replace("127.0.0.1:8080", server.address), names)
    assert server.scripts == [STORY]
    out = capsys.readouterr().out
    assert out.startswith("Once upon a time" * 3 + " stop 4\nIt is sunny.\nKnock knock.served are: ['tiny']\n")
    assert names["conversation"][-1].content == "Knock knock."


def test_the_page_has_its_snippets() -> None:
    assert len(SNIPPETS) >= 9
