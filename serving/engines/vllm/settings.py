"""What can be set of the vLLM engine. Imports no vLLM: flags and files are read before an engine is chosen."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec


class VllmSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: str
    """The name that it is served under."""
    model_path: str = ""
    """The folder of the model, or its name on Hugging Face. Empty: `model` is that."""
    reasoning_parser: str = ""
    """Which of vLLM's reasoning parsers tells thoughts from answers. Empty: all is content."""
    tool_parser: str = ""
    """Which of vLLM's tool parsers finds the calls that the model chose to make. Empty: only calls that `tool_choice`
    demands can be made."""
    loras: tuple[str, ...] = ()
    """LoRA adapters of the model, each as NAME=FOLDER."""
    engine_arg: tuple[str, ...] = ()
    """A field of vLLM's AsyncEngineArgs, as NAME=VALUE with the value in YAML, for example max_model_len=8192."""
    engine_args: dict[str, Any] = {}
    """The same as a mapping, for files."""


DEFAULTS: Mapping[str, Any] = {
    # Else vLLM ignores the priority of requests.
    "scheduling_policy": "priority",
    # The replica reports its load itself; vLLM's own collectors cost time at each step.
    "disable_log_stats": True,
}

_SET_ELSEWHERE: Mapping[str, str] = {
    "enable_lora": "loras",
    "model": "model_path",
    "reasoning_parser": "reasoning_parser",
    "served_model_name": "model",
    "skip_tokenizer_init": "nothing: texts need the tokenizer",
}


def engine_arguments(settings: VllmSettings) -> dict[str, Any]:
    """Return the fields of AsyncEngineArgs that are not vLLM's defaults. Raises ValueError."""
    given = settings.engine_args | {
        name: _yaml(name, value) for name, value in _pairs("engine_arg", settings.engine_arg)
    }
    for name in given:
        if name in _SET_ELSEWHERE:
            raise ValueError(f"engine_args: instead of {name} set {_SET_ELSEWHERE[name]}")
    arguments = {**DEFAULTS, **given, "model": settings.model_path or settings.model}
    if settings.reasoning_parser:
        arguments["reasoning_parser"] = settings.reasoning_parser
    if settings.loras:
        arguments["enable_lora"] = True
    return arguments


def lora_folders(settings: VllmSettings) -> dict[str, str]:
    """Return the folder of each adapter by its name. Raises ValueError."""
    return dict(_pairs("loras", settings.loras))


def _pairs(setting: str, texts: Iterable[str]) -> Iterable[tuple[str, str]]:
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise ValueError(f"{setting}: {text!r} is not NAME=VALUE")
        yield name, value


def _yaml(name: str, value: str) -> Any:
    try:
        return msgspec.yaml.decode(value)
    except msgspec.DecodeError as error:
        raise ValueError(f"engine_arg: {name} has a value that is no YAML: {' '.join(str(error).split())}") from None
