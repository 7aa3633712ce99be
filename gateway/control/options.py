"""The flags of `inference-gateway serve`. What a flag means, its default and its range stand in gateway.config."""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import NoReturn

import yaml

from gateway.config import LOG_LEVELS, Settings
from gateway.errors import SettingsError
from gateway.policies import POLICIES
from gateway.policies.chosen import choose
from gateway.settings_file import load_settings

_DEFAULTS = Settings()


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message} (see {self.prog} --help)")


class SettingsSource:
    """Where the settings of a process come from: flags that stay as they are, a file that may change."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """Raises SettingsError; --help exits."""
        flags = vars(_parser().parse_args(arguments))
        self.file: Path | None = flags.pop("config")
        self._flags = {name: value for name, value in flags.items() if value is not None}
        if "replicas" in self._flags:
            self._flags["replicas"] = [{"address": address} for address in self._flags["replicas"]]
        if "policy_options" in self._flags:
            self._flags["policy_options"] = _options(self._flags["policy_options"])

    def read(self) -> Settings:
        """Return them as they are now. Raises SettingsError."""
        return load_settings(self.file, self._flags, os.environ, _check_policies)


def parse_settings(arguments: Sequence[str]) -> Settings:
    """Return the settings of a command line and of the file that it names. Raises SettingsError; --help exits."""
    return SettingsSource(arguments).read()


def _options(pairs: Sequence[str]) -> dict[str, object]:
    """Return the policy's options from `NAME=VALUE`, values as in YAML. Raises SettingsError."""
    options: dict[str, object] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            raise SettingsError(f"command line: --policy-option {pair!r} is not NAME=VALUE")
        try:
            options[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            options[name] = value
    return options


def _check_policies(settings: Settings) -> None:
    choose(settings, Random(0))


def _workers(word: str) -> int | str:
    return word if word == "auto" else int(word)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="inference-gateway serve",
        usage="%(prog)s [OPTION ...]",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=30, width=110),
        description="Balance agents' requests over replicas.",
        epilog="Every setting can stand in the file of --config, as YAML, or in the environment; flags win over both.",
        allow_abbrev=False,
    )
    where = parser.add_argument_group("addresses")
    where.add_argument("--listen", metavar="HOST:PORT", help=f"for agents; port 0: any ({_DEFAULTS.listen})")
    where.add_argument("--replica", metavar="HOST:PORT", dest="replicas", action="append", help="once for each replica")
    where.add_argument(
        "--metrics-listen",
        metavar="HOST:PORT",
        help=f"/metrics, /health; none: no HTTP ({_DEFAULTS.metrics_listen})",
    )
    where.add_argument(
        "--admin-listen", metavar="PATH", help="Unix socket or loopback HOST:PORT for operators (one of the user's own)"
    )
    _add_tls_flags(parser.add_argument_group("TLS, each FILE in PEM").add_argument)
    how = parser.add_argument_group("behaviour")
    how.add_argument(
        "--policy", metavar="NAME", help=f"{', '.join(POLICIES)}; a package's, or FILE.py:CLASS ({_DEFAULTS.policy})"
    )
    how.add_argument(
        "--policy-option",
        metavar="NAME=VALUE",
        dest="policy_options",
        action="append",
        help="of the policy; repeatable",
    )
    how.add_argument(
        "--opaque-service",
        metavar="NAME",
        dest="opaque_services",
        action="append",
        help="a gRPC service to pass on unread, by its full name; repeatable",
    )
    how.add_argument(
        "--parking-s",
        type=float,
        metavar="S",
        help=f"how long a request waits for a ready replica ({_DEFAULTS.parking_s:g})",
    )
    how.add_argument(
        "--grace-s", type=float, metavar="S", help=f"for running streams after SIGTERM ({_DEFAULTS.grace_s:g})"
    )
    how.add_argument(
        "--drain-pause-s",
        type=float,
        metavar="S",
        help=f"from NOT_SERVING to the closed listener ({_DEFAULTS.drain_pause_s:g})",
    )
    how.add_argument("--workers", type=_workers, metavar="N", help="processes that relay; auto: one a core (1)")
    how.add_argument("--config", metavar="FILE", type=Path, help="settings as YAML")
    how.add_argument("--log-level", choices=LOG_LEVELS, metavar="LEVEL", help=f"{', '.join(LOG_LEVELS)} (info)")
    return parser


def _add_tls_flags(flag: Callable[..., object]) -> None:
    for name, metavar, setting, about in (
        ("--tls-cert", "FILE", "agents.cert", "the certificate that agents see, and its chain; turns TLS on"),
        ("--tls-key", "FILE", "agents.key", "its private key"),
        (
            "--tls-client-ca",
            "FILE",
            "agents.client_ca",
            "authorities of agents' certificates: agents are asked for one",
        ),
        ("--tls-client-cert", "WHEN", "agents.client_cert", "required or optional (required)"),
        ("--replica-tls-ca", "FILE", "replicas.ca", "authorities of replicas' certificates; turns TLS to replicas on"),
        ("--replica-tls-cert", "FILE", "replicas.cert", "the certificate that replicas see"),
        ("--replica-tls-key", "FILE", "replicas.key", "its private key"),
        ("--replica-tls-server-name", "NAME", "replicas.server_name", "in every replica's certificate (its host)"),
    ):
        flag(name, metavar=metavar, dest=f"tls.{setting}", help=about)
