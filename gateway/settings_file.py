"""Reading settings: a YAML file has the names of `gateway.config`, flags win over it, mistakes say where they are."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeGuard, get_args

import msgspec
import yaml

from gateway.config import Settings
from gateway.errors import SettingsError


def load_settings(file: Path | None = None, flags: Mapping[str, object] | None = None) -> Settings:
    """Return the defaults, changed by `file` (YAML), changed by `flags` (top-level names). Raises SettingsError."""
    flags = flags or {}
    source = _Source(file)
    try:
        return msgspec.convert({**source.values, **flags}, Settings)
    except msgspec.ValidationError as error:
        where, what = _explain(" ".join(str(error).split()))
        is_flag = where.split(".")[0].split("[")[0] in flags
        place = "command line" if is_flag else source.place(where)
        raise SettingsError(": ".join(part for part in (place, where, what) if part)) from None


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
    """Return the names of the settings under a path."""
    at: Any = Settings
    for name in re.findall(r"[a-z_]+|\[", where):
        at = get_args(at)[0] if name == "[" else {f.name: f.type for f in msgspec.structs.fields(at)}[name]
    return [f.name for f in msgspec.structs.fields(at)]
