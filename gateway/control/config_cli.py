"""`inference-gateway config`: check a settings file, show what the settings are, export their schema."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gateway.control.usable import check_usable
from gateway.errors import SettingsError
from gateway.settings_file import load_settings
from gateway.settings_schema import schema


def config(arguments: Sequence[str]) -> int:
    """Return 0, or 2 where the file cannot be used."""
    parser = argparse.ArgumentParser(prog="inference-gateway config", description="Look at settings.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("schema", help="print the JSON schema of the settings file")
    check = commands.add_parser("check", help="say whether a gateway could use the file")
    show = commands.add_parser("show", help="print all settings as a gateway would have them")
    check.add_argument("file", metavar="FILE", type=Path)
    show.add_argument("file", metavar="FILE", type=Path, nargs="?")
    options = parser.parse_args(arguments)
    if options.command == "schema":
        sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
        return 0
    try:
        settings = load_settings(options.file, environment=os.environ)
        check_usable(settings)
    except SettingsError as error:
        sys.stderr.write(f"inference-gateway config: {error}\n")
        return 2
    is_shown = options.command == "show"
    sys.stdout.write(msgspec.yaml.encode(settings).decode() if is_shown else f"{options.file}: can be used\n")
    return 0
