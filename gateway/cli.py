"""The command `inference-gateway`: each command an import string, so that only what is chosen is imported."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import version
from typing import NamedTuple


class Command(NamedTuple):
    target: str
    """`module:function`: takes the arguments after the command's name, returns the exit code."""
    help: str


COMMANDS: Mapping[str, Command] = {
    "serve": Command("gateway.control.app:serve", "Run a gateway in front of replicas"),
    "replica": Command("serving.cli:replica", "Run a replica: a model behind the same contract"),
    "generate": Command("gateway.client.cli:generate", "Continue a prompt, token by token"),
    "chat": Command("gateway.client.cli:chat", "Talk to a model"),
    "config": Command("gateway.control.config_cli:config", "Check a settings file, or print its schema"),
    "fleet": Command("gateway.control.admin_cli:fleet", "Show the replicas that a gateway knows"),
    "top": Command("gateway.control.top:top", "Watch fleet, rates, queue and time to first token"),
    "explain": Command("gateway.control.explain_cli:explain", "Say which replica a request would get, and why"),
    "drain": Command("gateway.control.operations_cli:drain", "Give a replica no more requests"),
    "undrain": Command("gateway.control.operations_cli:undrain", "Let a replica's own health decide again"),
    "weight": Command("gateway.control.operations_cli:weight", "Set a replica's weight"),
    "policy": Command("gateway.control.operations_cli:policy", "Change how replicas are chosen"),
    "reload": Command("gateway.control.operations_cli:reload", "Read the settings again"),
}

_USAGE = """usage: inference-gateway COMMAND [OPTION ...]

{commands}
  {version:<10}Print the version

inference-gateway COMMAND --help says what a command takes.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; 2 where there is no such command."""
    # grpcio's C core logs every connection that a peer has closed.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    name, *rest = arguments if arguments is not None else sys.argv[1:] or ("--help",)
    if name in ("-h", "--help", "help"):
        print(_usage(), end="")
        return 0
    if name in ("version", "--version"):
        print(f"inference-gateway {version('inference-gateway')}")
        return 0
    if name not in COMMANDS:
        near = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(COMMANDS)}"
        print(f"inference-gateway: no command {name!r}; {hint}", file=sys.stderr)
        return 2
    return _load(COMMANDS[name].target)(rest)


def _usage() -> str:
    commands = "\n".join(f"  {name:<10}{command.help}" for name, command in COMMANDS.items())
    return _USAGE.format(commands=commands, version="version")


def _load(target: str) -> Callable[[Sequence[str]], int]:
    module, _, function = target.partition(":")
    loaded: Callable[[Sequence[str]], int] = getattr(import_module(module), function)
    return loaded


if __name__ == "__main__":
    sys.exit(main())
