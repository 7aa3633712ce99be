"""The commands, against a server: in a thread of this process, and with real signals in another one."""

import json
import os
import signal
import sys
from collections.abc import Sequence
from io import StringIO
from subprocess import PIPE

import anyio
import anyio.to_thread
import pytest

from gateway.client import cli
from gateway.errors import Failure, Reason
from inference.v1 import inference_pb2 as pb
from tests.gateway.client.fakes import FakeServer, Script, said, serving, words

COMMAND = "import sys; from gateway.client import cli; sys.exit(getattr(cli, sys.argv[1])(sys.argv[2:]))"


async def run(server: FakeServer, command: str, *argv: str) -> int:
    main = {"generate": cli.generate, "chat": cli.chat}[command]
    return await anyio.to_thread.run_sync(main, [*argv, "--address", server.address])


async def start(command: str, argv: Sequence[str]) -> anyio.abc.Process:
    return await anyio.open_process([sys.executable, "-c", COMMAND, command, *argv], stdin=PIPE)


async def test_generate_streams_text(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(Script(words("Once", " upon"))) as server:
        code = await run(
            server, "generate", "hi", "--max-tokens", "9", "--stop", "a", "--stop", "b", "--temperature", "0"
        )
    assert (code, capsys.readouterr().out) == (0, "Once upon\n")
    request = server.requests[0]
    assert isinstance(request, pb.GenerateRequest)
    assert list(request.sampling.stop_strings) == ["a", "b"]
    assert (request.sampling.max_tokens, request.sampling.HasField("temperature")) == (9, True)


async def test_generate_reads_its_prompt_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO("from a pipe"))
    async with serving(Script(words("a"))) as server:
        assert await run(server, "generate", "-") == 0
    request = server.requests[0]
    assert isinstance(request, pb.GenerateRequest)
    assert request.text == "from a pipe"


async def test_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(Script(words("a", "b"))) as server:
        await run(server, "generate", "hi", "--json")
    first, last = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["text"], first["token_ids"], first["finish_reason"]) == ("a", [100], None)
    assert (last["finish_reason"], last["usage"]["completion_tokens"]) == ("stop", 2)


async def test_a_failure_is_one_line_and_exit_1(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(Script(failure=Failure(Reason.MODEL_NOT_FOUND, "no model\nof that name"))) as server:
        code = await run(server, "generate", "hi", "--model", "none")
    assert (code, capsys.readouterr()) == (1, ("", "inference-gateway: MODEL_NOT_FOUND: no model of that name\n"))


async def test_chat_answers_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(Script(said("Hel", "lo"))) as server:
        assert await run(server, "chat", "hi", "--system", "Be brief.") == 0
    assert capsys.readouterr().out == "Hello\n"
    request = server.requests[0]
    assert isinstance(request, pb.ChatRequest)
    assert [message.role for message in request.messages] == [pb.ROLE_SYSTEM, pb.ROLE_USER]


async def test_a_conversation_goes_on_after_an_error(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO("one\n\ntwo\nthree\n"))
    failure = Failure(Reason.NO_REPLICA_READY, "not ready")
    async with serving(Script(said("1")), Script(failure=failure), Script(said("3"))) as server:
        assert await run(server, "chat") == 0
    written = capsys.readouterr()
    assert (written.out, "NO_REPLICA_READY" in written.err) == ("1\n3\n", True)
    last = server.requests[2]
    assert isinstance(last, pb.ChatRequest)
    assert [message.parts[0].text for message in last.messages] == ["one", "1", "three"]


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["hi", "--max-tokens", "-1"],
        ["hi", "--max-tokens", "many"],
        ["hi", "--tls-ca", "/nonexistent"],
        ["hi", "--tls-key", __file__],
    ],
)
def test_a_wrong_command_line_exits_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.generate(argv)
    assert raised.value.code == 2
    assert capsys.readouterr().err


@pytest.mark.e2e
async def test_ctrl_c_cancels_the_stream_and_exits_130() -> None:
    async with (
        serving(Script(words("Once", "upon")[:1], hangs=True)) as server,
        await start("generate", ["hi", "--address", server.address]) as process,
    ):
        assert process.stdout
        assert process.stderr
        assert await process.stdout.receive() == b"Once"
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
        await server.is_idle()
        assert [chunk async for chunk in process.stderr] == []


@pytest.mark.e2e
async def test_a_reader_that_leaves_ends_the_stream() -> None:
    reading, writing = os.pipe()
    script = Script(words("a" * 100_000, "b"), hangs=True)
    async with serving(script) as server:
        argv = [sys.executable, "-c", COMMAND, "generate", "hi", "--address", server.address]
        async with await anyio.open_process(argv, stdout=writing) as process:
            os.close(writing)
            os.close(reading)
            assert await process.wait() == 1
            await server.is_idle()
            assert process.stderr
            assert [chunk async for chunk in process.stderr] == []
