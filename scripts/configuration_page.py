"""Writes the tables of docs/configuration.md from the schema of the settings; `--check` says whether they are so."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.config import LIVE
from gateway.settings_schema import schema

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"
_BETWEEN = re.compile(r"(<!-- settings: .* -->\n).*(<!-- /settings -->)", re.DOTALL)
_REF = "#/$defs/"

Schema = Mapping[str, Any]


def main(arguments: list[str]) -> int:
    page = PAGE.read_text(encoding="utf-8")
    written = _BETWEEN.sub(lambda found: f"{found[1]}{tables()}\n{found[2]}", page)
    if arguments == ["--check"]:
        return int(written != page)
    PAGE.write_text(written, encoding="utf-8")
    return 0


def tables() -> str:
    """Return a table for each kind of settings, the whole gateway's first."""
    made = schema()
    return "\n".join(line for name, kind in made["$defs"].items() for line in _table(name, kind, made["$defs"]))


def _table(name: str, kind: Schema, kinds: Schema) -> Iterator[str]:
    yield ""
    yield f"### {name}"
    yield ""
    yield " ".join(kind.get("description", "").split())
    yield ""
    yield "| setting | type | default | |"
    yield "|---|---|---|---|"
    for setting, found in kind["properties"].items():
        is_live = name == "Settings" and setting in LIVE
        about = found.get("description", "") + (" *live*" if is_live else "")
        default = _default(found, setting in kind.get("required", ()), kinds)
        yield f"| `{setting}` | {_type(found)} | {default} | {_cell(about)} |"


def _default(found: Schema, is_required: bool, kinds: Schema) -> str:
    if is_required:
        return "required"
    if "enum" in found or "default" not in found:
        return ""
    is_kind = found.get("$ref", "").startswith(_REF) and found["default"] == _defaults(kinds[found["$ref"][8:]])
    return "" if is_kind else _cell(f"`{json.dumps(found['default'])}`")


def _defaults(kind: Schema) -> dict[str, Any]:
    return {name: found.get("default") for name, found in kind["properties"].items()}


def _type(found: Schema) -> str:
    match found:
        case {"$ref": ref}:
            return f"[{ref[8:]}](#{ref[8:].lower()})"
        case {"enum": [*values]}:
            return " or ".join(f"`{value}`" for value in values)
        case {"anyOf": [*kinds]}:
            return " or ".join(_type(kind) for kind in kinds)
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"type": "object", "additionalProperties": items}:
            return f"{_type(items)} by name" if items else "anything by name"
        case _:
            return _range(found)


def _range(found: Schema) -> str:
    kind = found.get("type", "anything")
    low, above, high = found.get("minimum"), found.get("exclusiveMinimum"), found.get("maximum")
    limits = [
        f"at least {low:,}" if low is not None else f"above {above:,}" if above is not None else "",
        f"at most {high:,}" if high is not None else "",
    ]
    return ", ".join([str(kind), *filter(None, limits)])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
