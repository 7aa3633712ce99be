import subprocess
import sys
from importlib import import_module

import pytest

from gateway.cli import COMMANDS, main


def test_help_names_every_command_on_one_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) < 80
    for name in (*COMMANDS, "version"):
        assert sum(line.startswith(f"  {name} ") for line in lines) == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_exists(name: str) -> None:
    module, _, function = COMMANDS[name].target.partition(":")
    assert callable(getattr(import_module(module), function))


def test_an_unknown_command_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serv"]) == 2
    assert capsys.readouterr().err == "inference-gateway: no command 'serv'; did you mean serve?\n"


def test_a_command_gets_the_arguments_after_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--policy", "rondom"]) == 2
    assert capsys.readouterr().err.startswith("inference-gateway serve: command line: policy: 'rondom' is none of ")


def test_what_is_not_chosen_is_not_imported() -> None:
    program = "import sys, gateway.cli; print(sorted({'grpc', 'aiohttp', 'rich', 'asyncio', 'vllm'} & {*sys.modules}))"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert found.stdout == "[]\n"


def test_what_a_worker_shares_with_control_needs_neither_grpcio_nor_a_metrics_library() -> None:
    program = "import sys, gateway.config, gateway.metrics, gateway.channel.channel, gateway.channel.descriptors;"
    program += "print(sorted({'grpc', 'prometheus_client', 'aiohttp'} & {*sys.modules}))"
    found = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert found.stdout == "[]\n"
