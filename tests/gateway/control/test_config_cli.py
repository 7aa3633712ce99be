import json
from pathlib import Path

import pytest
import yaml

from gateway.control.config_cli import config


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.yaml"


def test_a_file_that_can_be_used_is_said_to_be(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("policy: random\n")
    assert config(["check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: can be used\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("polcy: random\n", ":1: polcy: unknown setting"),
        ("policy: rondom\n", "policy: 'rondom'"),
        ("routes: [{name: a, policy: rondom}]\n", "policy: 'rondom'"),
        ("policy: random\npolicy_options: {gate: 1}\n", "policy_options.gate: random has no such option"),
    ],
)
def test_one_that_cannot_is_told_in_one_line(
    text: str, complaint: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(text)
    assert config(["check", str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("inference-gateway config: ")
    assert complaint in line


def test_what_is_shown_is_all_settings_and_can_be_read_again(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("policy: random\n")
    monkeypatch.setenv("INFERENCE_GATEWAY_GRACE_S", "7")
    assert config(["show", str(file)]) == 0
    shown = capsys.readouterr().out
    assert (yaml.safe_load(shown)["policy"], yaml.safe_load(shown)["grace_s"]) == ("random", 7.0)
    file.write_text(shown)
    assert config(["check", str(file)]) == 0


def test_the_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert config(["schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$ref"] == "#/$defs/Settings"
