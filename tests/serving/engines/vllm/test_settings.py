"""Settings of the vLLM engine, which are read where vLLM is not installed."""

import subprocess
import sys
from pathlib import Path

import pytest

from serving.cli import parse
from serving.config import SettingsError
from serving.engines.vllm.settings import DEFAULTS, VllmSettings, engine_arguments, lora_folders


def test_the_name_is_the_model_unless_a_folder_is_given() -> None:
    assert engine_arguments(VllmSettings(model="org/name")) == {**DEFAULTS, "model": "org/name"}
    assert engine_arguments(VllmSettings(model="mine", model_path="/models/x"))["model"] == "/models/x"


def test_arguments_of_vllm_come_from_a_flag_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "engine.yaml"
    file.write_text(
        "engine_args: {dtype: float32, hf_overrides: {a: [1]}}\nmodel_path: /models/x\ntool_parser: hermes\n"
    )
    command = ["--engine", "vllm", "--model", "mine"]
    _, from_file = parse([*command, "--engine-config", str(file)])
    assert isinstance(from_file, VllmSettings)
    assert from_file.tool_parser == "hermes"
    arguments = engine_arguments(from_file)
    assert (arguments["dtype"], arguments["hf_overrides"], arguments["model"]) == ("float32", {"a": [1]}, "/models/x")
    _, from_flag = parse([*command, "--engine-args", "{dtype: float32, enforce_eager: true, max_model_len: 8192}"])
    assert isinstance(from_flag, VllmSettings)
    arguments = engine_arguments(from_flag)
    assert (arguments["dtype"], arguments["enforce_eager"], arguments["max_model_len"]) == ("float32", True, 8192)


def test_defaults_can_be_changed() -> None:
    settings = VllmSettings(model="m", engine_args={"scheduling_policy": "fcfs"})
    assert engine_arguments(settings)["scheduling_policy"] == "fcfs"


def test_parsers_and_adapters_are_told_to_vllm() -> None:
    arguments = engine_arguments(VllmSettings(model="m", reasoning_parser="qwen3", loras=("a=/a",)))
    assert (arguments["reasoning_parser"], arguments["enable_lora"]) == ("qwen3", True)


@pytest.mark.parametrize(
    "settings",
    [
        VllmSettings(model="m", engine_args="{dtype: "),
        VllmSettings(model="m", engine_args="[dtype]"),
        VllmSettings(model="m", engine_args={"model": "other"}),
        VllmSettings(model="m", engine_args={"enable_lora": True}),
    ],
)
def test_arguments_that_cannot_be_are_named(settings: VllmSettings) -> None:
    with pytest.raises(ValueError, match=r"^engine_args: .+") as error:
        engine_arguments(settings)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("loras", [("a",), ("=folder",), ("a=",), ("a=/a", "a=/b")])
def test_adapters_have_a_name_and_a_folder_each(loras: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"^loras: "):
        lora_folders(VllmSettings(model="m", loras=loras))


def test_adapters_are_found_by_name() -> None:
    assert lora_folders(VllmSettings(model="m", loras=("a=/a", "b=/b=b"))) == {"a": "/a", "b": "/b=b"}


def test_a_typo_is_one_line() -> None:
    with pytest.raises(SettingsError, match="--tool-parsr"):
        parse(["--engine", "vllm", "--model", "m", "--tool-parsr", "hermes"])


def test_reading_settings_imports_no_vllm() -> None:
    program = "import serving.engines.vllm.settings, sys; sys.exit('vllm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
