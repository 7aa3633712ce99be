"""Reading settings: a file (YAML), over it the environment, over both the command line. Mistakes say where they are."""

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeGuard

import msgspec
import yaml
from msgspec import inspect

from gateway.config import Settings
from gateway.errors import SettingsError

ENVIRONMENT_PREFIX = "INFERENCE_GATEWAY_"
"""As in `INFERENCE_GATEWAY_LIMITS__REQUEST_BYTES=1048576`: capitals, two underscores between names, values as YAML."""

_SERVICE_LINK = re.compile(r"(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d+_(TCP|UDP|SCTP).*)?)")
"""What Kubernetes says to every pod of a Service that is called inference-gateway."""


def load_settings(
    file: Path | None = None,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    check: Callable[[Settings], object] = lambda settings: None,
) -> Settings:
    """Return the defaults, changed by `file`, by `environment`, by `flags` (with names as `tls.agents.key`). Raises
    SettingsError.

    `check` knows more of what can be used: it raises SettingsError as `NAME: WHY`, and the place is put before that.
    """
    flags = flags or {}
    source = _Source(file)
    values = dict(source.values)
    variables = _overlay(values, environment or {})
    for name, value in flags.items():
        _put(values, name.split("."), value)
    try:
        settings = msgspec.convert(values, Settings)
        check(settings)
        return settings
    except msgspec.ValidationError as error:
        where, what = _explain(" ".join(str(error).split()))
    except SettingsError as error:
        where, _, what = str(error).partition(": ")
    place = source.place(where)
    prefixes = {where[: end.start()] for end in re.finditer(r"[.\[]|$", where)}
    for path in variables.keys() & prefixes:
        place = f"environment {variables[path]}"
    if {each for name in flags for each in (name, name.rpartition(".")[0])} & prefixes:
        place = "command line"
    raise SettingsError(": ".join(part for part in (place, where, what) if part))


def _overlay(values: dict[str, object], environment: Mapping[str, str]) -> dict[str, str]:
    """Change `values` by what the environment says. Return the variables by the path that each one sets."""
    variables = dict[str, str]()
    for name, text in sorted(environment.items()):
        rest = name.removeprefix(ENVIRONMENT_PREFIX)
        if rest == name or _SERVICE_LINK.fullmatch(rest):
            continue
        path = rest.lower().split("__")
        try:
            _put(values, path, yaml.safe_load(text))
        except yaml.YAMLError:
            raise SettingsError(f"environment {name}: {text!r} is not YAML") from None
        variables[".".join(path)] = name
    return variables


def _put(values: dict[str, object], path: Sequence[str], value: object) -> None:
    """Set what stands at a path; the structs on the way are copied, so that what the file said stays as it was."""
    *outer, last = path
    at = values
    for key in outer:
        inner = at.get(key)
        at[key] = at = dict(inner) if _is_mapping(inner) else {}
    at[last] = value


class _Source:
    """A YAML file, and on which line each of its keys stands."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._lines: dict[str, int] = {}
        self.values: dict[str, object] = {}
        if file is not None:
            self._read(file)

    def _read(self, file: Path) -> None:
        try:
            text = file.read_text(encoding="utf-8")
            root = yaml.compose(text, yaml.SafeLoader)
            values: object = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
            raise SettingsError(f"{file}{line}: {error.problem}") from None
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
            raise SettingsError(f"{file}: {reason}") from None
        if root is None or values is None:
            return
        if not _is_mapping(values):
            raise SettingsError(f"{file}: not a mapping of settings")
        self.values = values
        self._number(root, "")

    def _number(self, node: yaml.Node, path: str) -> None:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._number(item, f"{path}[{index}]")
        elif isinstance(node, yaml.MappingNode):
            for key, item in node.value:
                self._number_key(key, item, path)

    def _number_key(self, key: yaml.Node, item: yaml.Node, path: str) -> None:
        inner = f"{path}.{key.value}".removeprefix(".")
        line = key.start_mark.line + 1
        if inner in self._lines:
            raise SettingsError(f"{self._file}:{line}: {inner}: stands there twice, first on line {self._lines[inner]}")
        self._lines[inner] = line
        self._number(item, inner)

    def place(self, where: str) -> str:
        """Return `FILE:LINE` of a key, of its parent where it is missing; nothing without a file."""
        if self._file is None:
            return ""
        # msgspec does not say which entry of a mapping it means; mostly one alone has such a key.
        pattern = re.escape(where).replace(r"\[\.\.\.\]", r"\.[^.\[]+")
        entries = [path for path in self._lines if re.fullmatch(pattern, path)]
        where = entries[0] if len(entries) == 1 else where
        while where and where not in self._lines:
            where = where[: max(where.rfind("."), where.rfind("["), 0)]
        return f"{self._file}:{self._lines.get(where, 1)}"


def _is_mapping(value: object) -> "TypeGuard[dict[str, object]]":
    return isinstance(value, dict)


_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`")
_OWN = re.compile(r"([a-z_]+(?:\[\d+\])?): (.*)")


def _explain(message: str) -> tuple[str, str]:
    """Return where (`limits.request_bytes`) and what, from msgspec's message."""
    what, _, where = message.partition(" - at `$")
    where = where.rstrip("`").removeprefix(".")
    if unknown := _UNKNOWN.fullmatch(what):
        name = unknown[1]
        meant = get_close_matches(name, _names_at(where), n=1)
        what = "unknown setting" + (f"; did you mean {meant[0]}?" if meant else "")
    elif own := _OWN.fullmatch(what):
        name, what = own[1], own[2]
    else:
        return where, what[:1].lower() + what[1:].replace("`", "")
    return f"{where}.{name}".removeprefix("."), what


def _names_at(where: str) -> Sequence[str]:
    """Return the names of the settings under a path; those of all alternatives where there are several."""
    at: list[Any] = [inspect.type_info(Settings)]
    for name in re.findall(r"[a-z_]+|\[", where):
        inner = [_item(each) if name == "[" else _fields(each).get(name) for each in at]
        at = [each for one in inner if one is not None for each in getattr(one, "types", (one,))]
    return [name for each in at for name in _fields(each)]


def _item(at: Any) -> Any:
    return getattr(at, "item_type", None) or getattr(at, "value_type", None)


def _fields(at: Any) -> Mapping[str, Any]:
    return {field.name: field.type for field in getattr(at, "fields", ())}
