from pathlib import Path
from typing import Any

import msgspec
import pytest

from serving import cli, config
from serving.config import ENGINES, Settings, SettingsError, split_address
from serving.engines.simulated.settings import SimulatedSettings
from serving.engines.vllm.settings import VllmSettings


def test_every_engine_has_settings_with_a_model() -> None:
    for name, entry in ENGINES.items():
        fields = {field.name for field in msgspec.structs.fields(config.settings_type(name))}
        assert {"model", *entry.shown} <= fields


def test_no_setting_of_an_engine_hides_one_of_the_replica() -> None:
    of_replica = {field.name for field in msgspec.structs.fields(Settings)}
    for name in ENGINES:
        of_engine = {field.name for field in msgspec.structs.fields(config.settings_type(name))}
        assert of_engine & of_replica == {"model"}


def test_every_setting_is_explained() -> None:
    for kind in (Settings, *map(config.settings_type, ENGINES)):
        assert set(config.help_texts(kind)) == {field.name for field in msgspec.structs.fields(kind)}


def test_flags_are_settings() -> None:
    flags = ["--model", "m", "--grace-s", "2.5", "--speedup", "10", "--lora-names", "a", "b", "--lora-names", "c"]
    settings, engine = cli.parse([*flags, "--kv-cache-tokens", "5000"])
    assert settings == Settings(model="m", grace_s=2.5)
    assert engine == SimulatedSettings(model="m", speedup=10.0, lora_names=("a", "b", "c"), kv_cache_tokens=5000)


def test_a_flag_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "engine.yaml"
    file.write_text("speedup: 3\nnatural_tokens: 7\n")
    _, engine = cli.parse(["--model", "m", "--engine-config", str(file), "--speedup", "4"])
    assert engine == SimulatedSettings(model="m", speedup=4.0, natural_tokens=7)


def test_arguments_of_vllm_are_flags_too() -> None:
    flags = ["--engine", "vllm", "--engine-args", "{dtype: float32}", "--loras", "a=/a", "b=/b"]
    settings, engine = cli.parse(["--model", "m", *flags])
    assert settings.engine == "vllm"
    assert engine == VllmSettings(model="m", engine_args="{dtype: float32}", loras=("a=/a", "b=/b"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("speedo: 3\n", "unknown setting speedo"),
        ("speedup: [3]\n", "speedup: expected float, got array"),
        ("- 3\n", "not a mapping of settings"),
        ("a: b: c\n", "mapping values are not allowed"),
    ],
)
def test_a_file_with_a_mistake_is_one_line(tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / "engine.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refused:
        cli.parse(["--model", "m", "--engine-config", str(file)])
    assert line in str(refused.value)
    assert str(file) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ([], "the following arguments are required: --model"),
        (["--model", ""], "model: empty"),
        (["--model", "m", "--listen", "8000"], "listen: '8000' is not HOST:PORT"),
        (["--model", "m", "--listen", "h:99999"], "listen: 'h:99999' is not HOST:PORT"),
        (["--model", "m", "--metrics-listen", "x"], "metrics_listen: 'x' is not HOST:PORT"),
        (["--model", "m", "--grace-s", "-1"], "grace_s: expected float >= 0.0"),
        (["--model", "m", "--grace-s", "nan"], "grace_s: "),
        (["--model", "m", "--log-level", "loud"], "log_level: 'loud' is none of debug, info, warning, error"),
        (["--model", "m", "stray"], "unrecognized arguments: stray"),
        (["--engine"], "argument --engine: expected one argument"),
    ],
)
def test_a_flag_with_a_mistake_is_one_line(flags: list[str], line: str) -> None:
    with pytest.raises(SettingsError) as refused:
        cli.parse(flags)
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "parts"),
    [("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:80", ("::1", 80)), ("host:65535", ("host", 65535))],
)
def test_addresses(address: str, parts: tuple[str, int]) -> None:
    assert split_address("listen", address) == parts


@pytest.mark.parametrize("address", ["", ":80", "h:", "h:-1", "h:65536", "::1:80", "h:x"])
def test_what_is_no_address(address: str) -> None:
    with pytest.raises(ValueError, match=r"^listen: "):
        split_address("listen", address)


def test_help_names_every_flag_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.parse(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert {"--listen", "--metrics-listen", "--speedup", "--profile", "--grace-s"} <= set(text.split())
    assert "[127.0.0.1:50051]" in text


@pytest.mark.parametrize(
    ("engine", "fields", "said"),
    [
        ("simulated", {}, "simulated, llama-3.1-8b-h100, speedup 1"),
        ("simulated", {"profile": "llama-3.1-8b-a100", "speedup": 0.5}, "simulated, llama-3.1-8b-a100, speedup 0.5"),
        ("vllm", {}, "vllm"),
        ("vllm", {"model_path": "/models/x"}, "vllm, /models/x"),
    ],
)
def test_says_what_runs(engine: str, fields: dict[str, Any], said: str) -> None:
    settings = config.convert(config.settings_type(engine), {"model": "m", **fields})
    assert config.description(engine, settings) == said
