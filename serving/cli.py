"""`inference-gateway replica`: its flags are the settings, those of the chosen engine included."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import NoReturn, get_origin

import msgspec
import uvloop
from msgspec import Struct
from msgspec.structs import FieldInfo

from serving import config
from serving.config import Settings, SettingsError

Add = Callable[..., object]
"""argparse's `add_argument`."""


def replica(arguments: Sequence[str]) -> int:
    """Run a replica until it is told to stop; return the exit status."""
    try:
        settings, engine_settings = parse(arguments)
        logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
        from serving import app  # noqa: PLC0415 - grpcio takes a third of a second, which --help need not wait for

        create = partial(config.engine_factory(settings.engine), engine_settings)
        what = config.description(settings.engine, engine_settings)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(app.run(settings, create, what))
    except SettingsError as error:
        sys.stderr.write(f"inference-gateway replica: {error}\n")
        return 2


def parse(arguments: Sequence[str]) -> tuple[Settings, Struct]:
    """Return the settings of the replica and of its engine. Raises SettingsError."""
    engine = _chosen_engine(arguments)
    kind = config.settings_type(engine)
    given = vars(_parser(engine, kind).parse_args(arguments))
    names = {field.name for field in msgspec.structs.fields(Settings)}
    settings: Settings = config.convert(Settings, {name: given[name] for name in given.keys() & names})
    flags = {"model": settings.model, **{name: given[name] for name in given.keys() - names}}
    return settings, config.convert(kind, flags, settings.engine_config)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(message)


def _chosen_engine(arguments: Sequence[str]) -> str:
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--engine", default="simulated")
    return str(parser.parse_known_args(arguments)[0].engine)


def _parser(engine: str, kind: type[Struct]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="inference-gateway replica",
        description="Serve one model over gRPC (inference.v1), with health, load reports and metrics.",
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    _add_flags(parser.add_argument_group("replica").add_argument, Settings, ())
    _add_flags(parser.add_argument_group(f"engine {engine}").add_argument, kind, ("model",))
    return parser


def _add_flags(add: Add, kind: type[Struct], excluded: Sequence[str]) -> None:
    texts = config.help_texts(kind)
    for field in msgspec.structs.fields(kind):
        if field.name not in excluded:
            _add_flag(add, field, texts.get(field.name, ""))


def _add_flag(add: Add, field: FieldInfo, text: str) -> None:
    flag = "--" + field.name.replace("_", "-")
    default = "" if field.required or field.default in (None, "", ()) else f" [{field.default}]"
    text = (text + default).replace("%", "%%")
    if field.type is bool:
        add(flag, action=argparse.BooleanOptionalAction, help=text)
    elif get_origin(field.type) is tuple:
        add(flag, action="extend", nargs="+", metavar=_metavar(field), help=text)
    else:
        add(flag, required=field.required, metavar=_metavar(field), help=text)


def _metavar(field: FieldInfo) -> str:
    return field.name.rpartition("_")[2].upper()
