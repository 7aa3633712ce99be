"""What can be set of the vLLM engine. Imports no vLLM: flags and files are read before an engine is chosen."""

from collections.abc import Mapping
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
    engine_args: dict[str, Any] | str = ""
    """Fields of vLLM's AsyncEngineArgs, a mapping in YAML, for example {dtype: float32, max_model_len: 8192}."""


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
    given = _mapping(settings.engine_args)
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
    folders: dict[str, str] = {}
    for text in settings.loras:
        name, _, folder = text.partition("=")
        if not name or not folder or name in folders:
            raise ValueError(f"loras: {text!r} is not NAME=FOLDER, or the second of that name")
        folders[name] = folder
    return folders


def _mapping(engine_args: dict[str, Any] | str) -> dict[str, Any]:
    if not isinstance(engine_args, str):
        return engine_args
    try:
        return msgspec.yaml.decode(engine_args or "{}", type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ValueError(f"engine_args: not a mapping in YAML: {' '.join(str(error).split())}") from None
